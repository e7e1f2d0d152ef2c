package certfile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// utf8Text returns text without a byte order mark.
func utf8Text(data []byte) ([]byte, error) {
	const mark = "\xef\xbb\xbf"
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")),
		bytes.HasPrefix(data, []byte("-\x00")), bytes.HasPrefix(data, []byte("\x00-")):
		return nil, errors.New("it is UTF-16 text, as some editors of Windows write it: save it as UTF-8")
	}
	return bytes.TrimPrefix(data, []byte(mark)), nil
}

// guess says what a file without anything to be shown is, as far as that is
// easy to see.
func guess(text []byte) string {
	const none = "no certificate, request, revocation list or private key is in it"
	head := bytes.ToLower(bytes.TrimLeft(text[:min(len(text), 1024)], " \t\r\n"))
	begins := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(head, []byte(p)) {
				return true
			}
		}
		return false
	}
	switch {
	case len(head) == 0:
		return "nothing but blanks is in it"
	case begins("<!doctype", "<html", "<head", "<body"):
		return "it is HTML, a web page: was it downloaded from the right address?"
	case begins("<"):
		return "it is XML or HTML: " + none
	case begins("{", "["):
		return "it is JSON, or looks like it: " + none
	case begins("ssh-", "ecdsa-sha2-", "sk-ssh-"):
		return "it is a public key of SSH: " + none
	case bytes.HasPrefix(text, []byte("\xfe\xed\xfe\xed")):
		return "it is a Java key store of the old kind: keytool -importkeystore -srckeystore FILE -destkeystore new.p12 -deststoretype PKCS12 makes PKCS#12 of it"
	case isBareBase64(text):
		return "it is base64 without the lines that begin and end PEM: -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return "it is a binary file, but not DER: " + none
	}
	return none
}

// isBareBase64 reports whether text is DER in base64, and nothing else.
func isBareBase64(text []byte) bool {
	text = bytes.Join(bytes.Fields(text), nil)
	der, err := base64.StdEncoding.DecodeString(string(text))
	return err == nil && len(der) > 2 && identify(der) != ""
}
