package proxy

import "strings"

// An h1Case is what a client sends over HTTP/1.1, where servers differ in what
// they make of it. The test sends an ordinary request for /after behind it.
type h1Case struct {
	name string
	raw  string

	// status are those of the responses, without the one to /after.
	status string

	// saw are the requests that reach the backend, without /after.
	saw []string

	// ends: the connection is closed, and /after does not reach the backend.
	ends bool
}

const (
	hostLine = "Host: app.localhost\r\n"
	after    = "GET /after HTTP/1.1\r\n" + hostLine + "Connection: close\r\n\r\n"
	smuggled = "GET /smuggled HTTP/1.1\r\n" + hostLine + "\r\n"
)

// post is a request with the given lines in its head, and what follows it.
func post(lines, rest string) string {
	return "POST /x HTTP/1.1\r\n" + hostLine + lines + "\r\n\r\n" + rest
}

// get1 is one without a body.
func get1(lines string) string { return "GET /x HTTP/1.1\r\n" + hostLine + lines + "\r\n\r\n" }

const chunkedHello = "5\r\nhello\r\n0\r\n\r\n"

var (
	sawGet     = []string{"GET /x"}
	sawChunked = []string{`POST /x chunked "hello"`}
	sawLength  = []string{`POST /x length 5 "hello"`}
)

// refused are requests to which there is no answer but that; the rest is in
// the other tables.
var refused = []h1Case{
	{name: "coding xchunked", raw: post("Transfer-Encoding: xchunked", chunkedHello), status: "501"},
	{name: "coding chunked and more", raw: post("Transfer-Encoding: chunked, identity", chunkedHello), status: "501"},
	{name: "coding identity first", raw: post("Transfer-Encoding: identity, chunked", chunkedHello), status: "501"},
	{name: "coding identity", raw: post("Transfer-Encoding: identity", chunkedHello), status: "501"},
	{name: "coding gzip first", raw: post("Transfer-Encoding: gzip, chunked", chunkedHello), status: "501"},
	{name: "coding chunked twice in a list", raw: post("Transfer-Encoding: chunked, chunked", chunkedHello), status: "501"},
	{name: "coding in quotes", raw: post(`Transfer-Encoding: "chunked"`, chunkedHello), status: "501"},
	{name: "coding with a parameter", raw: post("Transfer-Encoding: chunked;q=1", chunkedHello), status: "501"},
	{name: "coding with a comma", raw: post("Transfer-Encoding: chunked,", chunkedHello), status: "501"},
	{name: "coding with a vertical tab", raw: post("Transfer-Encoding: \vchunked", chunkedHello), status: "400"},
	{name: "coding with a form feed behind it", raw: post("Transfer-Encoding: chunked\f", chunkedHello), status: "400"},
	{name: "coding with a NUL", raw: post("Transfer-Encoding: chunked\x00", chunkedHello), status: "400"},
	{name: "coding with a no-break space", raw: post("Transfer-Encoding: chunked\xa0", chunkedHello), status: "501"},
	{name: "coding with a CR before it", raw: post("Transfer-Encoding:\rchunked", chunkedHello), status: "400"},
	{name: "coding empty", raw: post("Transfer-Encoding:", chunkedHello), status: "501"},
	{name: "two coding lines", raw: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunkedHello), status: "501"},
	{name: "two coding lines, identity last", raw: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunkedHello), status: "501"},
	{name: "two coding lines of two cases", raw: post("Transfer-Encoding: cow\r\ntransfer-encoding: chunked", chunkedHello), status: "501"},
	{name: "coding unknown with a length", raw: post("Content-Length: 5\r\nTransfer-Encoding: cow", "hello"), status: "501"},
	{name: "coding on GET", raw: get1("Transfer-Encoding: cow"), status: "501"},
	{name: "space before the colon of the coding", raw: post("Transfer-Encoding : chunked", chunkedHello), status: "400"},
	{name: "tab before the colon of the coding", raw: post("Transfer-Encoding\t: chunked", chunkedHello), status: "400"},
	{name: "space before the colon of the length", raw: post("Content-Length : 5", "hello"), status: "400"},
	{name: "folded first line", raw: "GET /x HTTP/1.1\r\n X: 1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "NUL in the name of the coding", raw: post("Transfer-Encoding\x00: chunked", chunkedHello), status: "400"},
	{name: "name in UTF-8", raw: get1("Tränsfer: 1"), status: "400"},
	{name: "name with a space", raw: get1("X Y: 1"), status: "400"},
	{name: "name with a slash", raw: get1("X/Y: 1"), status: "400"},
	{name: "no name", raw: get1(": 1"), status: "400"},
	{name: "no colon", raw: get1("Transfer-Encoding chunked"), status: "400"},

	{name: "two lengths", raw: post("Content-Length: 5\r\nContent-Length: 0", "hello"), status: "400"},
	{name: "two lengths in a list", raw: post("Content-Length: 5, 0", "hello"), status: "400"},
	{name: "one length twice in a list", raw: post("Content-Length: 5, 5", "hello"), status: "400"},
	{name: "length with a blank list element", raw: post("Content-Length: 5, ", "hello"), status: "400"},
	{name: "length with a sign", raw: post("Content-Length: +5", "hello"), status: "400"},
	{name: "length in hexadecimal", raw: post("Content-Length: 0x5", "hello"), status: "400"},
	{name: "length below zero", raw: post("Content-Length: -5", "hello"), status: "400"},
	{name: "length minus zero", raw: post("Content-Length: -0", ""), status: "400"},
	{name: "length of 2^63", raw: post("Content-Length: 9223372036854775808", "hello"), status: "400"},
	{name: "length of 2^64+5", raw: post("Content-Length: 18446744073709551621", "hello"), status: "400"},
	{name: "length with a fraction", raw: post("Content-Length: 5.0", "hello"), status: "400"},
	{name: "length with an exponent", raw: post("Content-Length: 1e1", "hello"), status: "400"},
	{name: "length with an underscore", raw: post("Content-Length: 1_0", "hello"), status: "400"},
	{name: "length empty", raw: post("Content-Length:", "hello"), status: "400"},
	{name: "length in full-width digits", raw: post("Content-Length: \uff15", "hello"), status: "400"},
	{name: "length with a vertical tab", raw: post("Content-Length: \v5", "hello"), status: "400"},
	{name: "length with a space within", raw: post("Content-Length: 5 0", "hello"), status: "400"},

	{name: "CR alone in a value", raw: get1("X: 1\rTransfer-Encoding: chunked"), status: "400"},
	{name: "CR CR LF", raw: get1("X: 1\r"), status: "400"},
	{name: "NUL in a value", raw: get1("X: 1\x002"), status: "400"},
	{name: "DEL in a value", raw: get1("X: 1\x7f2"), status: "400"},
	{name: "NUL in the target", raw: "GET /\x00 HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "CR in the target", raw: "GET /\rx HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "tab in the target", raw: "GET /\tx HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "space in the target", raw: "GET /a b HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "two requests on a line", raw: "GET /x HTTP/1.1 GET /y HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "two spaces before the target", raw: "GET  /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "no target", raw: "GET HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "no version", raw: "GET /x\r\n" + hostLine + "\r\n", status: "400"},
	{name: "version 0.9", raw: "GET /x HTTP/0.9\r\n" + hostLine + "\r\n", status: "505"},
	{name: "version 1.10", raw: "GET /x HTTP/1.10\r\n" + hostLine + "\r\n", status: "400"},
	{name: "version 2.0", raw: "GET /x HTTP/2.0\r\n" + hostLine + "\r\n", status: "505"},
	{name: "version in lower case", raw: "GET /x http/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "preface of HTTP/2", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: "400"},
	{name: "method with a colon", raw: "GET: /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "space before the method", raw: " GET /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "empty line before the request", raw: "\r\nGET /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "NUL before the request", raw: "\x00GET /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},

	{name: "no Host", raw: "GET /x HTTP/1.1\r\n\r\n", status: "400"},
	{name: "two Hosts", raw: get1("Host: app.localhost"), status: "400"},
	{name: "two different Hosts", raw: get1("Host: other.localhost"), status: "400"},
	{name: "Host with a space before the colon", raw: "GET /x HTTP/1.1\r\nHost : app.localhost\r\n\r\n", status: "400"},
	{name: "Host with NUL", raw: "GET /x HTTP/1.1\r\nHost: app.localhost\x00.evil\r\n\r\n", status: "400"},
	{name: "absolute form without Host", raw: "GET https://app.localhost/x HTTP/1.1\r\n\r\n", status: "400"},
	{name: "target without a slash", raw: "GET x HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "target of a bad escape", raw: "GET /%zz HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},

	{name: "bad length and coding", raw: post("Content-Length: x\r\nTransfer-Encoding: chunked", chunkedHello), status: "400"},
	{name: "Hosts in a list", raw: "GET /x HTTP/1.1\r\nHost: app.localhost, other.localhost\r\n\r\n", status: "400"},
	{name: "Host with a path", raw: "GET /x HTTP/1.1\r\nHost: app.localhost/y\r\n\r\n", status: "400"},

	{name: "head too large", raw: get1("X: " + strings.Repeat("x", 2*maxReadHeader)), status: "431"},
	{name: "too many headers", raw: get1(strings.Repeat("X: x\r\n", maxReadHeader) + "Y: y"), status: "431"},
	{name: "expectation unknown", raw: post("Expect: the-best\r\nContent-Length: 5", "hello"), status: "417"},
}

// passing are requests that look worse than they are: they have one meaning,
// and reach the backend in plain form.
var passing = []h1Case{
	{name: "coding in capitals", raw: post("tRANSFER-eNCODING: CHUNKED", chunkedHello), status: "200", saw: sawChunked},
	{name: "coding behind a tab", raw: post("Transfer-Encoding:\tchunked", chunkedHello), status: "200", saw: sawChunked},
	{name: "coding behind nothing", raw: post("Transfer-Encoding:chunked", chunkedHello), status: "200", saw: sawChunked},
	{name: "coding before spaces and tabs", raw: post("Transfer-Encoding: chunked \t ", chunkedHello), status: "200", saw: sawChunked},
	{name: "coding with an underscore", raw: post("Transfer_Encoding: chunked\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "coding with a dot", raw: post("Transfer.Encoding: chunked\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "coding named in Connection", raw: post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", chunkedHello), status: "200", saw: sawChunked},
	{name: "length named in Connection", raw: post("Connection: Content-Length, Host\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "length and coding", raw: post("Content-Length: 5\r\nTransfer-Encoding: chunked", chunkedHello), status: "200", saw: sawChunked},
	{name: "coding and length", raw: post("Transfer-Encoding: chunked\r\nContent-Length: 5", chunkedHello), status: "200", saw: sawChunked},
	{name: "length too long for its chunks", raw: post("Content-Length: 50\r\nTransfer-Encoding: chunked", chunkedHello), status: "200", saw: sawChunked},
	{name: "one length twice", raw: post("Content-Length: 5\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "length with zeros", raw: post("Content-Length: 0005", "hello"), status: "200", saw: sawLength},
	{name: "length on GET", raw: get1("Content-Length: 5") + "hello", status: "200", saw: []string{`GET /x length 5 "hello"`}},
	{name: "chunks on GET", raw: get1("Transfer-Encoding: chunked") + chunkedHello, status: "200", saw: []string{`GET /x chunked "hello"`}},
	{name: "a request for a body", raw: post("Content-Length: 47", smuggled), status: "200", saw: []string{`POST /x length 47 "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"`}},
	{name: "a request for a chunk", raw: post("Transfer-Encoding: chunked", "2f\r\n"+smuggled+"\r\n0\r\n\r\n"), status: "200", saw: []string{`POST /x chunked "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"`}},
	{name: "length on HEAD", raw: "HEAD /x HTTP/1.1\r\n" + hostLine + "Content-Length: 5\r\n\r\nhello", status: "200", saw: []string{`HEAD /x length 5 "hello"`}},
	{name: "chunks on DELETE", raw: "DELETE /x HTTP/1.1\r\n" + hostLine + "Transfer-Encoding: chunked\r\n\r\n" + chunkedHello, status: "200", saw: []string{`DELETE /x chunked "hello"`}},
	{name: "length on OPTIONS *", raw: "OPTIONS * HTTP/1.1\r\n" + hostLine + "Content-Length: 5\r\n\r\nhello", status: "200", saw: []string{`OPTIONS * length 5 "hello"`}},
	{name: "POST without a body", raw: post("X: 1", ""), status: "200", saw: []string{"POST /x"}},

	{name: "LF ends the lines", raw: "GET /x HTTP/1.1\nHost: app.localhost\nX: 1\n\n", status: "200", saw: sawGet},
	{name: "LF ends one line", raw: get1("X: 1\nY: 2"), status: "200", saw: sawGet},
	{name: "LF ends the head", raw: "GET /x HTTP/1.1\r\n" + hostLine + "\n", status: "200", saw: sawGet},
	{name: "folded value", raw: get1("X: 1\r\n Y: 2\r\n\tZ: 3"), status: "200", saw: sawGet},
	{name: "folded coding in another value", raw: post("X: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "coding folded", raw: post("Transfer-Encoding:\r\n chunked", chunkedHello), status: "200", saw: sawChunked},
	{name: "length folded", raw: post("Content-Length:\r\n 5", "hello"), status: "200", saw: sawLength},
	{name: "space behind a value", raw: get1("X: 1 \t"), status: "200", saw: sawGet},
	{name: "value of high bytes", raw: get1("X: \x80\xff"), status: "200", saw: sawGet},
	{name: "space before the name of the coding", raw: post("X: 1\r\n Transfer-Encoding: chunked", chunkedHello), status: "200 400", saw: []string{"POST /x"}, ends: true},
	{name: "two slashes", raw: "GET //app.localhost/x HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: []string{"GET //app.localhost/x"}},
	{name: "a request in escapes", raw: "GET /%20HTTP/1.1%0d%0aX:%201 HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: []string{"GET /%20HTTP/1.1%0d%0aX:%201"}},
	{name: "absolute form", raw: "GET https://app.localhost/x HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: sawGet},
	{name: "absolute form with http", raw: "GET http://app.localhost/x HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: sawGet},
	{name: "absolute form with another Host", raw: "GET https://app.localhost/x HTTP/1.1\r\nHost: other.localhost\r\n\r\n", status: "200", saw: sawGet},
	{name: "absolute form of another host", raw: "GET https://other.localhost/x HTTP/1.1\r\n" + hostLine + "\r\n", status: "421"},
	{name: "absolute form with userinfo", raw: "GET https://app.localhost@other.localhost/x HTTP/1.1\r\n" + hostLine + "\r\n", status: "421"},
	{name: "target is an authority", raw: "GET app.localhost:443 HTTP/1.1\r\n" + hostLine + "\r\n", status: "400"},
	{name: "CONNECT", raw: "CONNECT app.localhost:443 HTTP/1.1\r\n" + hostLine + "\r\n", status: "501", ends: true},
	{name: "CONNECT with a path", raw: "CONNECT /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "501", ends: true},
	{name: "target is an asterisk", raw: "GET * HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: []string{"GET *"}},
	{name: "method unknown", raw: "get /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: []string{"get /x"}},
	{name: "method of punctuation", raw: "!#$%&'*+-.^_`|~ /x HTTP/1.1\r\n" + hostLine + "\r\n", status: "200", saw: []string{"!#$%&'*+-.^_`|~ /x"}},
	{name: "Host empty", raw: "GET /x HTTP/1.1\r\nHost:\r\n\r\n", status: "400"},
	{name: "Host with userinfo", raw: "GET /x HTTP/1.1\r\nHost: app.localhost@other.localhost\r\n\r\n", status: "400", ends: true},
	{name: "Host of two ports", raw: "GET /x HTTP/1.1\r\nHost: app.localhost:443:80\r\n\r\n", status: "400"},
	{name: "Host folded", raw: "GET /x HTTP/1.1\r\nHost:\r\n app.localhost\r\n\r\n", status: "200", saw: sawGet},

	{name: "chunk with an extension", raw: post("Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n0;c\r\n\r\n"), status: "200", saw: sawChunked},
	{name: "chunk with an extension in quotes", raw: post("Transfer-Encoding: chunked", "5;a=\"0\"\r\nhello\r\n0\r\n\r\n"), status: "200", saw: sawChunked},
	{name: "chunk size in capitals with zeros", raw: post("Transfer-Encoding: chunked", "00A\r\nhellohello\r\n0000\r\n\r\n"), status: "200", saw: []string{`POST /x chunked "hellohello"`}},
	{name: "chunk size before a space", raw: post("Transfer-Encoding: chunked", "5 \r\nhello\r\n0\r\n\r\n"), status: "200", saw: sawChunked},
	{name: "trailer", raw: post("Transfer-Encoding: chunked\r\nTrailer: X-Sum", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), status: "200", saw: []string{`POST /x chunked "hello" +X-Sum`}},
	{name: "trailers that were not announced", raw: post("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"), status: "200", saw: sawChunked},
	{name: "trailers that forge", raw: post("Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-For, X_Real_IP, Content_Length, Forwarded", "5\r\nhello\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\nX_Real_IP: 192.0.2.1\r\nContent_Length: 7\r\nForwarded: for=192.0.2.1\r\n\r\n"), status: "200", saw: sawChunked},

	{name: "trailer with a space before the colon", raw: post("Transfer-Encoding: chunked\r\nTrailer: X-Sum", "5\r\nhello\r\n0\r\nX-Sum : 1\r\n\r\n"), status: "200", saw: []string{`POST /x chunked "hello"`}},
	{name: "trailer of framing", raw: post("Transfer-Encoding: chunked\r\nTrailer: X-Sum", "5\r\nhello\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: cow\r\nHost: other.localhost\r\n\r\n"), status: "200", saw: []string{`POST /x chunked "hello"`}},

	{name: "upgrade that is refused, with bytes for the tunnel", raw: get1("Connection: Upgrade\r\nUpgrade: websocket") + "GET /smuggled HTTP/1.1\r\n" + hostLine + "X-Forwarded-For: 192.0.2.1\r\n\r\n", status: "200 200", saw: []string{"GET /x", "GET /smuggled"}},
	{name: "upgrade that is refused, with a body", raw: get1("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 47") + smuggled, status: "200", saw: []string{`GET /x length 47 "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"`}},
	{name: "upgrade to h2c with a preface", raw: get1("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk") + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: "200 400", saw: sawGet, ends: true},
	{name: "expectation met", raw: post("Expect: 100-continue\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "expectation in capitals", raw: post("Expect: 100-CONTINUE\r\nContent-Length: 5", "hello"), status: "200", saw: sawLength},
	{name: "expectation without a body", raw: get1("Expect: 100-continue"), status: "200", saw: sawGet},
	{name: "requests in a row", raw: smuggled + post("Content-Length: 5", "hello") + post("Transfer-Encoding: chunked", chunkedHello), status: "200 200 200", saw: []string{"GET /smuggled", sawLength[0], sawChunked[0]}},
	{name: "end in the middle of a row", raw: get1("Connection: close") + smuggled, status: "200", saw: sawGet, ends: true},
	{name: "HTTP/1.0", raw: "GET /x HTTP/1.0\r\n" + hostLine + "\r\n" + smuggled, status: "200", saw: sawGet, ends: true},
	{name: "HTTP/1.0 without Host", raw: "GET /x HTTP/1.0\r\n\r\n", status: "400", ends: true},
	{name: "HTTP/1.0 with chunks", raw: "POST /x HTTP/1.0\r\n" + hostLine + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, status: "200", saw: []string{"POST /x"}, ends: true},
	{name: "HTTP/1.0 with chunks that keeps the connection", raw: "POST /x HTTP/1.0\r\n" + hostLine + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedHello, status: "200 400", saw: []string{"POST /x"}, ends: true},
}

// broken are bodies that go wrong when the backend has the head already: the
// request never comes to its end there.
var broken = []h1Case{
	{name: "chunk size with 0x", raw: post("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size with a sign", raw: post("Transfer-Encoding: chunked", "+5\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size below zero", raw: post("Transfer-Encoding: chunked", "-1\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size behind a space", raw: post("Transfer-Encoding: chunked", " 5\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size with an underscore", raw: post("Transfer-Encoding: chunked", "0_5\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size of 2^64", raw: post("Transfer-Encoding: chunked", "10000000000000000\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size of 2^64+5", raw: post("Transfer-Encoding: chunked", "10000000000000005\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size empty", raw: post("Transfer-Encoding: chunked", "\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size of an extension only", raw: post("Transfer-Encoding: chunked", ";a=b\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size ends with LF", raw: post("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n")},
	{name: "chunk size ends with CR", raw: post("Transfer-Encoding: chunked", "5\rhello\r\n0\r\n\r\n")},
	{name: "chunk extension with LF", raw: post("Transfer-Encoding: chunked", "5;a\nhello\r\n0\r\n\r\n")},
	{name: "chunk extension with CR", raw: post("Transfer-Encoding: chunked", "5;a\rb\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk extension of 16 KiB", raw: post("Transfer-Encoding: chunked", "5;"+strings.Repeat("a", 16<<10)+"\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk longer than its size", raw: post("Transfer-Encoding: chunked", "4\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk shorter than its size", raw: post("Transfer-Encoding: chunked", "6\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk ends with LF", raw: post("Transfer-Encoding: chunked", "5\r\nhello\n0\r\n\r\n")},
	{name: "chunk ends without a line end", raw: post("Transfer-Encoding: chunked", "5\r\nhello0\r\n\r\n")},
	{name: "last chunk without an end", raw: post("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n")},
	{name: "trailer without a colon", raw: post("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX\r\n\r\n")},
	{name: "lengths with chunks", raw: post("Transfer-Encoding: chunked", "hello")},
}
