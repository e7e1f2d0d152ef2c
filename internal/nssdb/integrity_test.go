package nssdb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"testing"
)

// Values that certutil 3.87 wrote.
var (
	realSalt      = unhex("c02864014367c840d55bf9a92964af7349a04dbf")
	realCheck     = unhex("308181306d06092a864886f70d01050d3060304106092a864886f70d01050c30340420ffa36126417668e5bb015478ebef10d140fb0921af02266ae538e9fdf531bed1020101020120300a06082a864886f70d0209301b060960864801650304012a040ed4ead3ee2d443e675d638812300a0410aac11a5b3378cb53fe5138628d3ed82a")
	realSignature = unhex("308180305c06092a864886f70d01050e304f304106092a864886f70d01050c3034042072e34b544785cdb1abdebb480adb76b3d332b5948677f390921529e27602a5fc020101020120300a06082a864886f70d0209300a06082a864886f70d0209042080f1e29225ebbc66f291685399386c0586cf987be48894ca8ece0b6ff6e8edea")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestRealValues(t *testing.T) {
	password := emptyPassword(realSalt)
	if ok, err := opens(realCheck, password); err != nil || !ok {
		t.Errorf("opens = %v, %v; want true", ok, err)
	}
	if ok, err := opens(realCheck, emptyPassword([]byte("other"))); err != nil || ok {
		t.Errorf("opens with another salt = %v, %v; want false", ok, err)
	}
	const id = 0x1cb2c4b1
	tests := []struct {
		name  string
		id    int64
		a     attribute
		value []byte
		want  bool
	}{
		{"right", id, attrNSSStepUp, []byte{0}, true},
		{"other id", id + 1, attrNSSStepUp, []byte{0}, false},
		{"other attribute", id, attrNSSTrustCode, []byte{0}, false},
		{"other value", id, attrNSSStepUp, []byte{1}, false},
	}
	for _, tt := range tests {
		if got := verify(realSignature, password, tt.id, tt.a, tt.value); got != tt.want {
			t.Errorf("%s: verify = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// oldCheck is of the form that NSS before 3.49 wrote: SHA-1 and triple DES.
var oldCheck = unhex("303c3028060b2a864886f70d010c0501033019041400112233445566778899aabbccddeeff0011223302010104100123456789abcdef0123456789abcdef")

func TestUnknownFormat(t *testing.T) {
	for name, check := range map[string][]byte{"triple DES": oldCheck, "garbage": []byte("garbage"), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			dir := newDatabase(t)
			root := newCA(t, "root", nil)
			mustAdd(t, dir, root)
			change(t, dir, "UPDATE keys.metaData SET item2 = ? WHERE id = 'password'", check)
			if e := find(t, dir, root, true, false); !e.Unchecked {
				t.Errorf("Find = %+v, want it unchecked", e)
			}
			wantRoots(t, dir)
			before := snapshot(t, dir)
			if err := Add(t.Context(), dir, "other", newCA(t, "other", nil)); !errors.Is(err, ErrFormat) {
				t.Errorf("Add: %v, want ErrFormat", err)
			}
			if !maps.Equal(snapshot(t, dir), before) {
				t.Error("a refused Add changed files")
			}
			if removed, err := Delete(t.Context(), dir, fingerprint(root), nil); err != nil || !removed {
				t.Errorf("Delete = %v, %v; want true", removed, err)
			}
		})
	}
}

// Damaged parameters are refused before they cost anything.
func TestIterations(t *testing.T) {
	before := []byte{0x02, 0x01, 0x01, 0x02, 0x01, 0x20} // iterations 1, key length 32
	for _, after := range [][]byte{
		{0x02, 0x01, 0x00, 0x02, 0x01, 0x20},
		{0x02, 0x01, 0xff, 0x02, 0x01, 0x20},
		{0x02, 0x01, 0x01, 0x02, 0x01, 0x7f},
	} {
		changed := bytes.Replace(realCheck, before, after, 1)
		if bytes.Equal(changed, realCheck) {
			t.Fatal("nothing was changed")
		}
		if _, err := opens(changed, emptyPassword(realSalt)); !errors.Is(err, errScheme) {
			t.Errorf("opens with %x: %v, want errScheme", after, err)
		}
	}
}

// No input panics, and nothing but what NSS made passes.
func FuzzProtected(f *testing.F) {
	f.Add(realCheck)
	f.Add(realSignature)
	f.Add(oldCheck)
	password := emptyPassword(realSalt)
	f.Fuzz(func(t *testing.T, der []byte) {
		if ok, err := opens(der, password); ok && err != nil {
			t.Errorf("opens = true, %v", err)
		}
		if verify(der, password, 0x1cb2c4b1, attrNSSStepUp, []byte{1}) {
			t.Error("a forged signature passed")
		}
	})
}

func TestSignVerify(t *testing.T) {
	password := emptyPassword([]byte("salt"))
	der, err := sign(password, 5, attrHash, []byte("value"))
	if err != nil || !verify(der, password, 5, attrHash, []byte("value")) {
		t.Errorf("what was signed does not verify: %v", err)
	}
	if len(der) != len(realSignature) {
		t.Errorf("a signature has %d bytes, want %d as NSS's", len(der), len(realSignature))
	}
}
