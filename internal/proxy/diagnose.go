package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"devproxy/internal/backend"
	"devproxy/internal/refusal"
)

// msgRefused is what the log says of an app that does not take to devproxy.
const msgRefused = "an app refuses what comes through devproxy"

// diagnose looks whether res, which answers r, is the refusal of a dev server that does not know
// the host it is reached by, or the like. The log then has the line to add, and
// a person who opened the page is shown it in the place of the app's page.
// Everybody else gets what the app sent, when it comes.
func (x *exchange) diagnose(r *http.Request, res *http.Response) {
	if !refusal.Worth(res.StatusCode, res.Header) {
		return
	}
	if !wantsHTML(r) {
		res.Body = &overheard{ReadCloser: res.Body, hear: func(begin []byte) bool {
			_, ok := x.recognise(r, res, begin)
			return ok
		}}
		return
	}
	var note refusal.Note
	known := false
	body := peek(res.Body, func(begin []byte) bool {
		note, known = x.recognise(r, res, begin)
		return known
	})
	if known {
		x.explainRefusal(res, note)
		return
	}
	res.Body = body
}

// An overheard is a body whose beginning is looked at while it passes.
type overheard struct {
	io.ReadCloser
	begin []byte                  // of what has passed
	hear  func(begin []byte) bool // is told of it until it returns true; then nil
}

func (o *overheard) Read(b []byte) (int, error) {
	n, err := o.ReadCloser.Read(b)
	if o.hear == nil {
		return n, err
	}
	o.begin = append(o.begin, b[:min(n, refusal.Peek-len(o.begin))]...)
	if o.hear(o.begin) || len(o.begin) == refusal.Peek || err != nil {
		o.begin, o.hear = nil, nil
	}
	return n, err
}

// recognise returns the note on a response whose body begins so, after the log
// has got it.
func (x *exchange) recognise(r *http.Request, res *http.Response, begin []byte) (refusal.Note, bool) {
	note, ok := refusal.Recognise(refusal.Response{
		Status:    res.StatusCode,
		Header:    res.Header,
		Body:      begin,
		Host:      x.host,
		OtherHost: x.route.Rules.SendHost != "",
		Origin:    x.origin(r),
		Method:    r.Method,
		Path:      x.path,
		HeadBytes: headBytes(&x.call),
	})
	if !ok {
		return note, false
	}
	note.Fix = strings.ReplaceAll(note.Fix, "ADDRESS:PORT", x.route.target.Address)
	if p := x.proxy; p.due(notice{msgRefused, x.host, note.App + note.Problem}) {
		p.log.Warn(msgRefused,
			zap.String("host", x.host),
			zap.String("backend", x.route.Backend.Name),
			zap.Int("status", res.StatusCode),
			zap.String("app", note.App),
			zap.String("problem", note.Problem),
			zap.String("file", note.File),
			zap.String("hint", note.Fix))
	}
	return note, true
}

// origin is what the browser has in its address bar; "" if another site sent
// the request.
func (x *exchange) origin(r *http.Request) string {
	own := httpsURL(x.host, x.conn.local.Port(), "")
	if sender := r.Header.Get("Origin"); sender != "" && !strings.EqualFold(sender, own) {
		return ""
	}
	return own
}

// explainRefusal puts a page with the note in the place of the app's.
func (x *exchange) explainRefusal(res *http.Response, note refusal.Note) {
	where := "Fix"
	if note.File != "" {
		where = "Add to " + note.File
	}
	body, ok := x.proxy.pages.render(page{
		Status:  res.StatusCode,
		Title:   note.App + " refuses this request",
		Message: note.Problem,
		Fix:     &fact{where, note.Fix},
		Facts:   []fact{{"Backend", x.route.Backend.Name}},
		Hint:    "This page stands for the app's own answer of " + strconv.Itoa(res.StatusCode) + ", which clients other than browsers get as it is.",
	})
	if !ok {
		return
	}
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	res.Trailer = nil
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified", "Content-Disposition", "Content-Language", "Accept-Ranges", "Trailer"} {
		delete(res.Header, name)
	}
	x.proxy.pages.describe(res.Header, len(body), false)
}

// headBytes returns about how many bytes the head of a call has on the wire.
func headBytes(c *backend.Call) int {
	n := len(c.Method) + len(c.Path) + len(c.Query) + len(c.Host) + len("  HTTP/1.1\r\nHost: \r\n\r\n")
	for _, f := range c.Fields {
		n += len(f.Name) + len(f.Value) + len(": \r\n")
	}
	return n
}
