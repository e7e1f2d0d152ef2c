package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"devproxy/internal/issuer"
)

const (
	proofHost = "trust-check.localhost" // in every CA's constraints
	proofTime = 5 * time.Second
)

// proof returns what proves a trust store: a client that takes exactly roots
// for trust anchors makes a TLS handshake with a throw-away listener whose
// leaf ca signs. Nil roots leave the verdict to the platform's verifier. A CA
// that is locked cannot sign: the client then judges its intermediate.
func proof(ca *issuer.CA) func(ctx context.Context, roots *x509.CertPool) error {
	if ca.Locked() {
		return func(_ context.Context, roots *x509.CertPool) error {
			_, err := ca.Intermediate().Verify(x509.VerifyOptions{Roots: roots})
			return err
		}
	}
	return func(ctx context.Context, roots *x509.CertPool) error {
		iss, err := issuer.New(ca, issuer.Config{})
		if err != nil {
			return err
		}
		server := &tls.Config{GetCertificate: iss.GetCertificate}
		client := &tls.Config{RootCAs: roots, ServerName: proofHost}
		return handshake(ctx, server, client)
	}
}

// handshake connects a client with a server on loopback, for one handshake,
// and returns the client's verdict.
func handshake(ctx context.Context, server, client *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	ln, err := listenLoopback()
	if err != nil {
		return fmt.Errorf("listen for the handshake: %w", err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveHandshake(ctx, ln, server)
	}()
	defer func() { <-served }()
	defer ln.Close()
	conn, err := (&tls.Dialer{Config: client}).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// serveHandshake takes one connection. What it says of a failure, the client
// says better.
func serveHandshake(ctx context.Context, ln net.Listener, cfg *tls.Config) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	tls.Server(conn, cfg).HandshakeContext(ctx)
}

// listenLoopback listens on a free port of either family.
func listenLoopback() (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		ln, err = net.Listen("tcp", "[::1]:0")
	}
	return ln, err
}
