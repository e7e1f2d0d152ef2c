package static

import (
	"io"
	"mime"
	"net/http"
	"strings"
)

// typeByExtension returns the Content-Type for an extension such as ".html",
// "" if there is none, and whether it is certain. The types of the web are:
// they do not come from the files or the registry of the machine, where .js
// may be text/plain. XML and SVG get no charset, which would outweigh the
// encoding that their first line tells (RFC 7303 section 3).
func typeByExtension(extension string) (kind string, certain bool) {
	switch strings.ToLower(extension) {
	case ".html", ".htm":
		return "text/html; charset=utf-8", true
	case ".css":
		return "text/css; charset=utf-8", true
	case ".js", ".mjs", ".cjs":
		return "text/javascript; charset=utf-8", true
	case ".json", ".map":
		return "application/json", true
	case ".webmanifest":
		return "application/manifest+json", true
	case ".wasm":
		return "application/wasm", true
	case ".xml":
		return "application/xml", true
	case ".xhtml":
		return "application/xhtml+xml", true
	case ".txt":
		return "text/plain; charset=utf-8", true
	case ".md":
		return "text/markdown; charset=utf-8", true
	case ".csv":
		return "text/csv; charset=utf-8", true
	case ".vtt":
		return "text/vtt; charset=utf-8", true
	case ".svg":
		return "image/svg+xml", true
	case ".png":
		return "image/png", true
	case ".jpg", ".jpeg":
		return "image/jpeg", true
	case ".gif":
		return "image/gif", true
	case ".webp":
		return "image/webp", true
	case ".avif":
		return "image/avif", true
	case ".ico":
		return "image/x-icon", true
	case ".woff":
		return "font/woff", true
	case ".woff2":
		return "font/woff2", true
	case ".ttf":
		return "font/ttf", true
	case ".otf":
		return "font/otf", true
	case ".mp3":
		return "audio/mpeg", true
	case ".wav":
		return "audio/wav", true
	case ".mp4":
		return "video/mp4", true
	case ".webm":
		return "video/webm", true
	case ".pdf":
		return "application/pdf", true
	}
	return mime.TypeByExtension(extension), false
}

// sniff guesses the Content-Type from the beginning of a file.
func sniff(file io.ReaderAt) string {
	var begin [512]byte // no more is looked at
	n, _ := file.ReadAt(begin[:], 0)
	return http.DetectContentType(begin[:n])
}
