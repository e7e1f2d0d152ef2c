package proxy

import "strings"

// An h2Case is a request over HTTP/2, on a stream of its own, and an ordinary
// one for /after behind it.
type h2Case struct {
	name   string
	fields []string // names and values
	data   []string // DATA frames; the last one, or the trailers, ends the stream
	trail  []string // names and values of trailers

	// result is the status of the response, "reset" for a stream error or
	// "goaway" for one of the connection. There are two where the server sees
	// an error either before it has begun to answer or after.
	result string
	saw    string // the request that reaches the backend, "" for none
	maybe  bool   // the backend may not see it
}

// head2 is a request of the method for /x with more fields.
func head2(method string, more ...string) []string {
	return append([]string{":method", method, ":scheme", "https", ":authority", "app.localhost", ":path", "/x"}, more...)
}

// with2 is one that has another value for a field.
func with2(name, value string, more ...string) []string {
	fields := head2("GET", more...)
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == name {
			fields[i+1] = value
		}
	}
	return fields
}

var corpusH2 = []h2Case{
	{name: "plain", fields: head2("GET"), result: "200", saw: "GET /x"},
	{name: "data", fields: head2("POST"), data: []string{"hel", "lo"}, result: "200", saw: `POST /x chunked "hello"`},
	{name: "data and length", fields: head2("POST", "content-length", "5"), data: []string{"hel", "lo"}, result: "200", saw: `POST /x length 5 "hello"`},
	{name: "data that is a request", fields: head2("POST", "content-length", "47"), data: []string{smuggled}, result: "200", saw: `POST /x length 47 "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"`},
	{name: "data on GET", fields: head2("GET"), data: []string{"hello"}, result: "200", saw: `GET /x chunked "hello"`},
	{name: "trailers", fields: head2("POST", "trailer", "x-sum"), data: []string{"hello"}, trail: []string{"x-sum", "1"}, result: "200", saw: `POST /x chunked "hello" +X-Sum`},
	{name: "trailers that forge", fields: head2("POST", "trailer", "x-forwarded-for, x_real_ip, content_length"), data: []string{"hello"}, trail: []string{"x-forwarded-for", "192.0.2.1", "x_real_ip", "192.0.2.1", "content_length", "7"}, result: "200", saw: `POST /x chunked "hello"`},
	{name: "trailers of framing", fields: head2("POST", "trailer", "x-sum"), data: []string{"hello"}, trail: []string{"content-length", "7", "transfer-encoding", "chunked", "host", "other.localhost"}, result: "reset or 400"},
	{name: "trailers of framing that are announced", fields: head2("POST", "trailer", "content-length, transfer-encoding, trailer"), data: []string{"hello"}, trail: []string{"content-length", "7"}, result: "200", saw: `POST /x chunked "hello"`},
	{name: "trailers with a pseudo header", fields: head2("POST"), data: []string{"hello"}, trail: []string{":path", "/smuggled"}, result: "reset or 400"},

	{name: "length too long for the data", fields: head2("POST", "content-length", "50"), data: []string{"hello"}, result: "400"},
	{name: "length too short for the data", fields: head2("POST", "content-length", "4"), data: []string{"hello"}, result: "reset or 400"},
	{name: "length without data", fields: head2("POST", "content-length", "5"), result: "400"},
	{name: "length of zero with data", fields: head2("POST", "content-length", "0"), data: []string{"hello"}, result: "200 or reset", saw: "POST /x", maybe: true},
	{name: "length with a sign", fields: head2("POST", "content-length", "+5"), data: []string{"hello"}, result: "400 or reset"},
	{name: "length in a list", fields: head2("POST", "content-length", "5, 5"), data: []string{"hello"}, result: "400 or reset"},
	{name: "two lengths", fields: head2("POST", "content-length", "5", "content-length", "6"), data: []string{"hello"}, result: "400"},
	{name: "one length twice", fields: head2("POST", "content-length", "5", "content-length", "5"), data: []string{"hello"}, result: "200", saw: `POST /x length 5 "hello"`},
	{name: "length of 2^64+5", fields: head2("POST", "content-length", "18446744073709551621"), data: []string{"hello"}, result: "400 or reset"},

	{name: "transfer-encoding", fields: head2("POST", "transfer-encoding", "chunked"), data: []string{chunkedHello}, result: "400"},
	{name: "transfer-encoding and length", fields: head2("POST", "content-length", "5", "transfer-encoding", "chunked"), data: []string{"hello"}, result: "400"},
	{name: "transfer_encoding", fields: head2("POST", "transfer_encoding", "chunked"), data: []string{"hello"}, result: "200", saw: `POST /x chunked "hello"`},
	{name: "connection", fields: head2("GET", "connection", "close"), result: "400"},
	{name: "keep-alive", fields: head2("GET", "keep-alive", "timeout=5"), result: "400"},
	{name: "proxy-connection", fields: head2("GET", "proxy-connection", "keep-alive"), result: "400"},
	{name: "upgrade", fields: head2("GET", "upgrade", "websocket"), result: "400"},
	{name: "te of chunked", fields: head2("GET", "te", "chunked"), result: "400"},
	{name: "te of trailers and more", fields: head2("GET", "te", "trailers, deflate"), result: "400"},
	{name: "te of trailers", fields: head2("GET", "te", "trailers"), result: "200", saw: "GET /x"},

	{name: "two :path", fields: head2("GET", ":path", "/smuggled"), result: "reset"},
	{name: "two :method", fields: head2("GET", ":method", "POST"), result: "reset"},
	{name: "two :authority", fields: head2("GET", ":authority", "other.localhost"), result: "reset"},
	{name: "pseudo header behind a header", fields: append([]string{"x", "1"}, head2("GET")...), result: "reset"},
	{name: "pseudo header unknown", fields: head2("GET", ":x", "1"), result: "reset"},
	{name: "pseudo header of responses", fields: head2("GET", ":status", "200"), result: "reset"},
	{name: ":protocol", fields: head2("CONNECT", ":protocol", "websocket"), result: "reset"},
	{name: "no :path", fields: []string{":method", "GET", ":scheme", "https", ":authority", "app.localhost"}, result: "reset"},
	{name: "no :method", fields: []string{":scheme", "https", ":authority", "app.localhost", ":path", "/x"}, result: "reset"},
	{name: "no :scheme", fields: []string{":method", "GET", ":authority", "app.localhost", ":path", "/x"}, result: "reset"},
	{name: "no :authority but host", fields: []string{":method", "GET", ":scheme", "https", ":path", "/x", "host", "app.localhost"}, result: "200", saw: "GET /x"},
	{name: "no :authority nor host", fields: []string{":method", "GET", ":scheme", "https", ":path", "/x"}, result: "400"},
	{name: ":authority and another host", fields: head2("GET", "host", "other.localhost"), result: "200", saw: "GET /x"},
	{name: ":authority of another host", fields: with2(":authority", "other.localhost", "host", "app.localhost"), result: "421"},
	{name: ":authority with a space", fields: with2(":authority", "app.localhost x"), result: "400"},
	{name: ":authority with CR LF", fields: with2(":authority", "app.localhost\r\nX: 1"), result: "reset"},
	{name: ":authority with userinfo", fields: with2(":authority", "app.localhost@other.localhost"), result: "reset"},
	{name: ":authority with a path", fields: with2(":authority", "app.localhost/y"), result: "400"},
	{name: ":path empty", fields: with2(":path", ""), result: "reset"},
	{name: ":path without a slash", fields: with2(":path", "x"), result: "reset"},
	{name: ":path with a space", fields: with2(":path", "/x HTTP/1.1"), result: "400"},
	{name: ":path with CR LF", fields: with2(":path", "/x HTTP/1.1\r\nX: 1"), result: "reset"},
	{name: ":path with a tab", fields: with2(":path", "/x\ty"), result: "reset"},
	{name: ":path with NUL", fields: with2(":path", "/x\x00"), result: "reset"},
	{name: ":path with DEL", fields: with2(":path", "/x\x7f"), result: "reset"},
	{name: ":path is a URL", fields: with2(":path", "https://other.localhost/x"), result: "400"},
	{name: ":path is an asterisk", fields: with2(":path", "*"), result: "200", saw: "GET *"},
	{name: ":path begins with two slashes", fields: with2(":path", "//other.localhost/x"), result: "200", saw: "GET //other.localhost/x"},
	{name: ":path with a fragment", fields: with2(":path", "/x#y"), result: "200", saw: "GET /x#y"},
	{name: ":path with a bad escape", fields: with2(":path", "/%zz"), result: "reset"},
	{name: ":path in UTF-8", fields: with2(":path", "/ü"), result: "200", saw: "GET /ü"},
	{name: ":path is long", fields: with2(":path", "/"+strings.Repeat("x", 1000)), result: "200", saw: "GET /" + strings.Repeat("x", 1000)},
	{name: ":method with a space", fields: with2(":method", "GET /smuggled HTTP/1.1"), result: "400"},
	{name: ":method with CR LF", fields: with2(":method", "GET /smuggled HTTP/1.1\r\n\r\nGET"), result: "reset"},
	{name: ":method empty", fields: with2(":method", ""), result: "reset"},
	{name: ":method CONNECT with :path", fields: head2("CONNECT"), result: "reset"},
	{name: ":method CONNECT", fields: []string{":method", "CONNECT", ":authority", "app.localhost:443"}, result: "501"},
	{name: ":scheme http", fields: with2(":scheme", "http"), result: "200", saw: "GET /x"},
	{name: ":scheme other", fields: with2(":scheme", "https://app.localhost/"), result: "reset"},

	{name: "name with a colon", fields: head2("GET", "x:y", "1"), result: "reset"},
	{name: "name of a colon", fields: head2("GET", ":", "1"), result: "reset"},
	{name: "name in capitals", fields: head2("GET", "X-Y", "1"), result: "reset"},
	{name: "name with a space", fields: head2("GET", "x y", "1"), result: "reset"},
	{name: "name with CR LF", fields: head2("GET", "x: 1\r\ny", "1"), result: "reset"},
	{name: "name with NUL", fields: head2("GET", "x\x00", "1"), result: "reset"},
	{name: "name empty", fields: head2("GET", "", "1"), result: "reset"},
	{name: "name in UTF-8", fields: head2("GET", "ü", "1"), result: "reset"},
	{name: "name that Unicode folds to one of ours", fields: head2("GET", "\u212aeep-alive", "1"), result: "reset"},
	{name: "value with CR LF", fields: head2("GET", "x", "1\r\nTransfer-Encoding: chunked"), result: "reset"},
	{name: "value with LF", fields: head2("GET", "x", "1\ny: 2"), result: "reset"},
	{name: "value with CR", fields: head2("GET", "x", "1\r2"), result: "reset"},
	{name: "value with NUL", fields: head2("GET", "x", "1\x002"), result: "reset"},
	{name: "value with spaces around", fields: head2("GET", "x", " 1 "), result: "200", saw: "GET /x"},
	{name: "values that forge", fields: head2("GET", "x-forwarded-for", "192.0.2.1", "x_forwarded_proto", "http", "forwarded", "for=192.0.2.1"), result: "200", saw: "GET /x"},
	{name: "cookies in pieces", fields: head2("GET", "cookie", "a=1", "cookie", "b=2"), result: "200", saw: "GET /x"},
	{name: "expectation unknown", fields: head2("POST", "expect", "the-best"), data: []string{"hello"}, result: "200", saw: `POST /x chunked "hello"`},
	{name: "expectation", fields: head2("POST", "expect", "100-continue"), data: []string{"hello"}, result: "200", saw: `POST /x chunked "hello"`},
	{name: "headers too large", fields: head2("GET", "x", strings.Repeat("x", 2*maxReadHeader)), result: "goaway"},
}
