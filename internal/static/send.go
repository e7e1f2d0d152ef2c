package static

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// settled is how long a file must have been left alone before it gets an
// ETag and a Last-Modified. File systems note times in steps, of up to 2 s
// on FAT, and Last-Modified has seconds: two edits within one step look alike.
const settled = 2 * time.Second

// send answers with a file that was just opened.
func (f *folder) send(w http.ResponseWriter, r *http.Request, file *os.File, info fs.FileInfo) {
	body := &body{file: file}
	h := w.Header()
	kind, certain := typeByExtension(filepath.Ext(file.Name()))
	if kind == "" {
		kind = sniff(file)
	}
	h.Set("Content-Type", kind)
	if certain {
		// A page shall not run as a script what is none. With a guessed type
		// this would keep it from running what is one.
		h.Set("X-Content-Type-Options", "nosniff")
	}
	h.Set("Cache-Control", "no-cache") // a reload shows the edit

	// The ETag is strong: If-Range takes no other, and without that a video
	// or a download that was interrupted begins anew. It can be, since no
	// write escapes it: the time of the last change of the inode cannot be
	// set, as that of the last modification is by cp -p, tar and archivers
	// that want the same bytes each time.
	modified := info.ModTime()
	changed, inode := inodeOf(info)
	if f.now().Sub(modified) < settled || f.now().Sub(changed) < settled {
		modified = time.Time{}
	} else {
		h.Set("ETag", fmt.Sprintf(`"%x-%x-%x-%x"`, info.Size(), modified.UnixNano(), changed.UnixNano(), inode))
	}
	// The size is that of now: what is appended meanwhile is not sent.
	http.ServeContent(w, r, "", modified, io.NewSectionReader(body, 0, info.Size()))
	if body.broken.Load() {
		// Over HTTP/2 the end of the handler would otherwise end the stream
		// as if all were there.
		panic(http.ErrAbortHandler)
	}
}

// A body reads a file within the size that was announced, and notices when it
// cannot: the file was truncated, or the disk fails.
type body struct {
	file   io.ReaderAt
	broken atomic.Bool // multipart ranges are read by another goroutine
}

func (b *body) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.file.ReadAt(p, off)
	if err != nil {
		b.broken.Store(true)
	}
	return n, err
}
