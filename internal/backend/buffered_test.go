package backend

import (
	"bufio"
	"strings"
	"testing"
)

// What Buffered counts is there: a Read of as much needs nothing more to come.
func TestBuffered(t *testing.T) {
	for _, test := range []struct {
		come    string // after the head
		chunked bool
		want    bool
	}{
		{"", false, false},
		{"x", false, true},
		{"", true, false},
		{"5", true, false},
		{"5\r\n", true, false},
		{"5\r\nh", true, true},
		{"5\r\nhello\r\n0\r\n\r\n", true, true},
		{"\r\n", true, false}, // the end of the chunk before
		{"\r\n5\r\n", true, false},
		{"\r\n5\r\nhello", true, true},
		{"\r\n0\r\n\r\n", true, true},
	} {
		x := &exchange{scratch: &scratch{in: bufio.NewReader(strings.NewReader(test.come))}}
		x.left = 10
		if test.chunked {
			x.left = inChunks
		}
		x.scratch.in.Peek(len(test.come))
		if got := x.Buffered() > 0; got != test.want {
			t.Errorf("%q, chunked %t: got %t, want %t", test.come, test.chunked, got, test.want)
		}
	}
	if got := new(exchange).Buffered(); got != 0 {
		t.Errorf("after the end: got %d", got)
	}
}
