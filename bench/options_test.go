package main

import (
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-devproxy", "old=/a/x,new=/b/x", "-proxies", "devproxy,nginx", "-only", "h2,h1", "-short", "-root", "/r"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []devproxyBuild{{"old", "/a/x"}, {"new", "/b/x"}}; !reflect.DeepEqual(o.builds, want) {
		t.Errorf("builds %v, want %v", o.builds, want)
	}
	if o.rounds != 1 || o.seconds != time.Second || o.json != filepath.Join("/r", "bin", "bench.json") {
		t.Errorf("got %+v", o)
	}
	var only []string
	for _, m := range o.measurements() {
		only = append(only, m.name)
	}
	if want := []string{"h1", "h2"}; !slices.Equal(only, want) {
		t.Errorf("measurements %v, want %v", only, want)
	}
	b := &bench{options: o}
	var field []string
	for _, c := range b.field() {
		field = append(field, c.name)
	}
	if want := []string{"old", "new", "nginx"}; !slices.Equal(field, want) {
		t.Errorf("contenders %v, want %v", field, want)
	}
}

func TestOptionsByDefault(t *testing.T) {
	o, err := parseOptions([]string{"-root", "/r"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []devproxyBuild{{"devproxy", "/r/bin/devproxy"}}; !reflect.DeepEqual(o.builds, want) {
		t.Errorf("builds %v, want %v", o.builds, want)
	}
	if len(o.measurements()) != len(allMeasurements()) || len((&bench{options: o}).field()) != len(allProxies()) {
		t.Errorf("got %+v, want everything", o)
	}
}

func TestBadOptions(t *testing.T) {
	for _, args := range [][]string{
		{"-only", "h3"},
		{"-proxies", "squid"},
		{"-devproxy", "/a,/b"},
		{"-devproxy", "nginx=/a"},
		{"-devproxy", "=/a"},
		{"-rounds", "0"},
		{"-seconds", "0s"},
		{"h1"},
	} {
		if o, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%q: got %+v, want an error", args, o)
		}
	}
}
