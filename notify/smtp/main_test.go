package smtp_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is a mail server that answers as the test says.
type server struct {
	t        *testing.T
	listener net.Listener
	tls      *tls.Config
	roots    *x509.CertPool
	implicit bool
	starttls bool
	auth     string // user:password, or none is offered.
	// answer returns the answer to a command in upper case, such as "RCPT" or "." for the
	// end of a mail; "" is the usual one, "cut" closes the connection, "wait" never answers.
	answer func(command string) string

	mu          sync.Mutex
	connections int
	mails       []string
	recipients  []string
}

func start(t *testing.T, change ...func(*server)) *server {
	t.Helper()
	s := &server{t: t, answer: func(string) string { return "" }}
	s.tls, s.roots = certificate(t)
	for _, c := range change {
		c(s)
	}
	var err error
	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = s.listener.Close() })
	return s
}

func (s *server) url(user string) string {
	scheme, query := "smtp", "?tls=off"
	if s.implicit {
		scheme, query = "smtps", ""
	}
	if s.starttls {
		query = ""
	}
	return scheme + "://" + user + s.listener.Addr().String() + query
}

func (s *server) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.mails...)
}

func (s *server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	s.mu.Lock()
	s.connections++
	s.mu.Unlock()
	encrypted := s.implicit
	if s.implicit {
		conn = tls.Server(conn, s.tls)
	}
	in := bufio.NewReader(conn)
	say := func(line string) { _, _ = conn.Write([]byte(line + "\r\n")) }
	reply := func(answer, usual string) bool {
		switch answer {
		case "":
			say(usual)
		case "cut":
			return false
		case "wait":
			_, _ = in.ReadByte()
			return false
		default:
			say(answer)
			return !strings.HasPrefix(answer, "421")
		}
		return true
	}
	say("220 test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		command, _, _ := strings.Cut(strings.ToUpper(line), " ")
		ok := true
		switch command {
		case "EHLO":
			say("250-test")
			if s.starttls && !encrypted {
				say("250-STARTTLS")
			}
			if s.auth != "" {
				say("250-AUTH PLAIN")
			}
			say("250 ENHANCEDSTATUSCODES")
		case "STARTTLS":
			say("220 go")
			secure := tls.Server(conn, s.tls)
			if secure.Handshake() != nil {
				return
			}
			conn, in, encrypted = secure, bufio.NewReader(secure), true
		case "AUTH":
			fields := strings.Fields(line)
			given, _ := base64.StdEncoding.DecodeString(fields[len(fields)-1])
			if strings.ReplaceAll(strings.TrimPrefix(string(given), "\x00"), "\x00", ":") == s.auth {
				say("235 2.7.0 welcome")
			} else {
				say("535 5.7.8 no such user " + s.auth)
			}
		case "MAIL", "RSET", "NOOP":
			ok = reply(s.answer(command), "250 2.0.0 fine")
		case "RCPT":
			s.mu.Lock()
			s.recipients = append(s.recipients, line)
			s.mu.Unlock()
			ok = reply(s.answer(command), "250 2.1.5 fine")
		case "DATA":
			answer := s.answer(command)
			if ok = reply(answer, "354 go"); !ok {
				return
			}
			if answer != "" {
				break
			}
			var mail strings.Builder
			for {
				row, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if row == ".\r\n" {
					break
				}
				mail.WriteString(strings.TrimPrefix(row, "."))
			}
			if answer = s.answer("."); answer == "" || answer == "cut" {
				s.mu.Lock()
				s.mails = append(s.mails, mail.String())
				s.mu.Unlock()
			}
			ok = reply(answer, "250 2.0.0 accepted")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 5.5.1 what")
		}
		if !ok {
			return
		}
	}
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der},
		PrivateKey: key}}}, roots
}
