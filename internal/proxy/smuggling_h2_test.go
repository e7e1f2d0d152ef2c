package proxy

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// encode2 returns a header block, which nothing is checked in.
func encode2(encoder *hpack.Encoder, block *bytes.Buffer, fields []string) []byte {
	block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(block.Bytes())
}

// send writes the frames of a case on a stream. Errors show when reading.
func (c h2Case) send(framer *http2.Framer, stream uint32, encoder *hpack.Encoder, block *bytes.Buffer) {
	const maxFrame = 16 << 10
	write := func(fields []string, end bool) {
		rest := encode2(encoder, block, fields)
		part := rest[:min(len(rest), maxFrame)]
		rest = rest[len(part):]
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: part, EndStream: end, EndHeaders: len(rest) == 0})
		for len(rest) > 0 {
			part = rest[:min(len(rest), maxFrame)]
			rest = rest[len(part):]
			framer.WriteContinuation(stream, len(rest) == 0, part)
		}
	}
	write(c.fields, len(c.data)+len(c.trail) == 0)
	for i, data := range c.data {
		framer.WriteData(stream, i == len(c.data)-1 && len(c.trail) == 0, []byte(data))
	}
	if len(c.trail) > 0 {
		write(c.trail, true)
	}
}

// results reads until both streams have had a response or an end of another
// kind, and returns what each came to.
func results(framer *http2.Framer, streams ...uint32) []string {
	got := make(map[uint32]string)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			break
		}
		stream := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := frame.PseudoValue("status"); got[stream] == "" && status != "100" {
				got[stream] = status
			}
		case *http2.RSTStreamFrame:
			if got[stream] == "" {
				got[stream] = "reset"
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return fill(got, streams, "goaway")
			}
		}
		if !slices.ContainsFunc(streams, func(id uint32) bool { return got[id] == "" }) {
			break
		}
	}
	return fill(got, streams, "end")
}

func fill(got map[uint32]string, streams []uint32, otherwise string) (list []string) {
	for _, id := range streams {
		if got[id] == "" {
			got[id] = otherwise
		}
		list = append(list, got[id])
	}
	return list
}

// What HTTP/2 can carry and HTTP/1.1 cannot is refused, and the rest reaches
// the backend as the one request that it is.
func TestCorpusH2(t *testing.T) {
	for _, c := range corpusH2 {
		t.Run(c.name, func(t *testing.T) {
			w := startWitnessed(t)
			conn := w.connectH2(t, "app.localhost")
			conn.AllowIllegalWrites = true
			conn.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			c.send(conn.Framer, 1, encoder, &block)
			result := results(conn.Framer, 1)
			if result[0] != "goaway" {
				next := h2Case{fields: with2(":path", "/after")}
				next.send(conn.Framer, 3, encoder, &block)
				result = append(result, results(conn.Framer, 3)...)
			}
			requests, faults := w.settled(t)
			c.judge(t, result, requests, faults)
		})
	}
}

// judge compares the ends of the two streams, and what the backend saw, with
// what should be. A request may reach the backend before its end goes wrong.
func (c h2Case) judge(t *testing.T, result, requests, faults []string) {
	t.Helper()
	results, want := strings.Split(c.result, " or "), []string{"GET /after"}
	if c.result == "goaway" {
		want = nil
	} else {
		for i := range results {
			results[i] += " 200"
		}
	}
	if !slices.Contains(results, strings.Join(result, " ")) {
		t.Errorf("got %q, want one of %q", result, results)
	}
	requests = slices.DeleteFunc(requests, func(s string) bool { return strings.HasSuffix(s, " (cut off)") })
	if c.saw != "" && !(c.maybe && slices.Equal(requests, want)) {
		want = append([]string{c.saw}, want...)
	}
	if !slices.Equal(requests, want) || len(faults) > 0 {
		t.Errorf("the backend saw %q, want %q\nfaults: %q", requests, want, faults)
	}
}
