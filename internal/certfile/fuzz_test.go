package certfile

import (
	"testing"
	"time"
)

// FuzzParse: whatever a file holds, Parse returns soon, with content or an
// error that says something, and what it returns can be written again.
func FuzzParse(f *testing.F) {
	s := newSamples(f)
	for _, der := range [][]byte{s.leaf.cert.Raw, s.request, s.list, s.pkcs8, s.sec1, s.pkcs1, s.public, s.encrypted, s.pkcs12, s.pkcs7} {
		f.Add(der)
	}
	for label := range labels {
		f.Add([]byte(block(label, s.leaf.cert.Raw)))
	}
	f.Add([]byte(block("CERTIFICATE REQUEST", s.request) + "text\n" + block("X509 CRL", s.list) + block("PRIVATE KEY", s.pkcs8)))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END PRIVATE KEY-----\n  -----BEGIN A----\n\xef\xbb\xbf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		c, err := Parse(data)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if err != nil {
			if c != nil || err.Error() == "" {
				t.Errorf("got %v with the error %q", c, err)
			}
			return
		}
		if c.empty() {
			t.Error("nothing is held, and there is no error")
		}
		for _, k := range c.Keys {
			if (k.Private == nil) != k.Encrypted {
				t.Errorf("got %+v", k)
			}
		}
		if len(c.Certificates) > 0 {
			again, err := Parse(EncodeCertificates(c.Certificates...))
			if err != nil || len(again.Certificates) != len(c.Certificates) {
				t.Errorf("written again: %v", err)
			}
		}
		if c.PKCS12 {
			_ = checkPKCS12(data)
		}
	})
}
