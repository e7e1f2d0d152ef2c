package refusal

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
)

// maxText bounds what a compressed beginning may grow to.
const maxText = 8 * Peek

// readable reports whether decode knows the content coding.
func readable(coding string) bool {
	for _, known := range [...]string{"", "identity", "gzip", "x-gzip", "deflate"} {
		if strings.EqualFold(coding, known) {
			return true
		}
	}
	return false
}

// decode returns the text of body, which may be only the beginning of what was
// compressed.
func decode(coding string, body []byte) ([]byte, bool) {
	var (
		r   io.Reader
		err error
	)
	switch strings.ToLower(coding) {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		// RFC 9110, section 8.4.1.2: zlib, but some send the bare stream.
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return nil, false
	}
	if err != nil {
		return nil, len(body) == 0
	}
	// An error is the end of the beginning; what came before it counts.
	text, _ := io.ReadAll(io.LimitReader(r, maxText))
	return text, true
}
