// Package smtp is a notify.Sender that hands mails to a mail server.
//
// The problem is to tell apart what a server's answer means: a recipient that does not
// exist, a server that does not work at the moment, and a connection that ends when the
// mail has been handed over and the answer has not come, so that it may have been accepted.
// Package notify repeats a mail by these.
//
// It keeps connections open for the next mail, and encrypts them with TLS unless told
// otherwise. The SMTP client and the composition of MIME are go-mail's.
package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/booking-platform/booking-platform/notify"
)

// Options configure [New]. URL and From are required.
type Options struct {
	// URL is smtp://user:password@host:587, with STARTTLS, or smtps://user:password@host:465.
	// User and password can be left out. The parameter tls=off, of smtp, does not encrypt.
	URL string
	// From is the sender, such as "Studio <hello@example.com>".
	From string
	// Timeout bounds a dialogue step; the default is 20 seconds.
	Timeout time.Duration
	// RootCAs verify the server's certificate; nil is the system's.
	RootCAs *x509.CertPool
	// HelloName is what the client calls itself; the default is the host's name.
	HelloName string
}

// Sender is a notify.Sender. It is safe for concurrent use. It leaves out a ReplyTo whose
// local part is not ASCII.
type Sender struct {
	server server
	from   *mail.Address
	client *gomail.Client
	idle   chan *connection

	closed sync.Once
	done   chan struct{}
}

const (
	// maxIdle is how many connections are kept open.
	maxIdle = 4
	// idleFor is how long they are kept; servers close them after some minutes.
	idleFor = 20 * time.Second
	// maxMails of one connection; servers limit it.
	maxMails = 100
)

// New returns a sender, without connecting. The error does not quote the URL.
func New(opts Options) (*Sender, error) {
	srv, err := parseURL(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	from, err := ParseAddress(opts.From)
	if err != nil {
		return nil, fmt.Errorf("smtp: From: %w", err)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 20 * time.Second
	}
	s := &Sender{server: srv, from: from, idle: make(chan *connection, maxIdle), done: make(chan struct{})}
	options := []gomail.Option{
		gomail.WithPort(srv.port), gomail.WithTimeout(opts.Timeout), gomail.WithTLSConfig(&tls.Config{
			ServerName: srv.host, MinVersion: tls.VersionTLS12, RootCAs: opts.RootCAs}),
		gomail.WithHELO(helloName(opts.HelloName)),
	}
	switch {
	case srv.implicitTLS:
		// With a dial function go-mail would take the connection for a readable one, on which
		// it chooses no PLAIN.
		options = append(options, gomail.WithSSL())
	case srv.plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDialContextFunc(dial))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithDialContextFunc(dial))
	}
	if srv.user != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(srv.user),
			gomail.WithPassword(srv.password))
	}
	if s.client, err = gomail.NewClient(srv.host, options...); err != nil {
		return nil, errors.New("smtp: the mail server's URL was not accepted")
	}
	return s, nil
}

func helloName(name string) string {
	if name != "" {
		return name
	}
	if host, err := os.Hostname(); err == nil && host != "" && !strings.ContainsAny(host, " \r\n") {
		return host
	}
	return "localhost"
}

// connection is one to the mail server.
type connection struct {
	client *gosmtp.Client
	raw    net.Conn // nil with smtps.
	mails  int
	used   time.Time
}

func (c *connection) close() {
	if c.raw != nil {
		_ = c.raw.Close()
	} else if c.client != nil {
		_ = c.client.Close()
	}
}

// dialed carries the connection out of go-mail, which does not close it after an error.
type dialed struct{}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if into, ok := ctx.Value(dialed{}).(*connection); ok && err == nil {
		into.raw = conn
	}
	return conn, err
}

func (s *Sender) connect(ctx context.Context) (*connection, error) {
	c := &connection{}
	client, err := s.client.DialToSMTPClientWithContext(context.WithValue(ctx, dialed{}, c))
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%w: %s", notify.ErrUnavailable, s.words(err, ""))
	}
	c.client = client
	return c, nil
}

// take returns a kept connection, or nil.
func (s *Sender) take() *connection {
	for {
		select {
		case c := <-s.idle:
			if time.Since(c.used) < idleFor {
				return c
			}
			c.close()
		default:
			return nil
		}
	}
}

func (s *Sender) keep(c *connection) {
	c.mails++
	c.used = time.Now()
	select {
	case <-s.done:
	default:
		if c.mails < maxMails {
			select {
			case s.idle <- c:
				return
			default:
			}
		}
	}
	_ = s.client.CloseWithSMTPClient(c.client)
	c.close()
}

// Close closes the kept connections. Later mails use a connection each.
func (s *Sender) Close() error {
	s.closed.Do(func() { close(s.done) })
	for {
		select {
		case c := <-s.idle:
			_ = s.client.CloseWithSMTPClient(c.client)
			c.close()
		default:
			return nil
		}
	}
}

// Send implements notify.Sender. A 5xx about the sender's login, and a connection that
// fails before the mail is handed over, are notify.ErrUnavailable; a 5xx about the mail or
// its recipient is notify.ErrRefused. Errors have the server's code and words, without
// addresses.
func (s *Sender) Send(ctx context.Context, m notify.Mail) error {
	msg, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("%w: %w", notify.ErrRefused, err)
	}
	c := s.take()
	if c != nil {
		retry, err := s.sendOn(ctx, c, msg, m.To)
		if !retry {
			return err
		}
		// The kept connection was closed by the server.
	}
	if c, err = s.connect(ctx); err != nil {
		return err
	}
	_, err = s.sendOn(ctx, c, msg, m.To)
	return err
}

// sendOn sends on a connection, and keeps or closes it. retry reports that the connection
// did not work before anything was sent.
func (s *Sender) sendOn(ctx context.Context, c *connection, msg *gomail.Msg, to string) (retry bool, err error) {
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	err = s.client.SendWithSMTPClient(c.client, msg)
	// With an error in RSET, after the server accepted the mail, it is delivered too.
	if msg.IsDelivered() {
		if err == nil {
			s.keep(c)
		} else {
			c.close()
		}
		return false, nil
	}
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		c.close()
		return false, fmt.Errorf("%w: %s", notify.ErrUnavailable, s.words(err, to))
	}
	code := failed.ErrorCode()
	if code >= 400 && (failed.Reason == gomail.ErrSMTPRcptTo || failed.Reason == gomail.ErrSMTPDataClose) {
		s.keep(c)
	} else {
		c.close()
	}
	words := s.words(err, to)
	switch {
	case failed.Reason == gomail.ErrConnCheck:
		return true, fmt.Errorf("%w: %s", notify.ErrUnavailable, words)
	case code == 421:
		return false, fmt.Errorf("%w: %s", notify.ErrUnavailable, words)
	// Codes about the session, such as 530 Authentication required.
	case code == 530, code == 535, code >= 500 && code != 552 && code != 554 && failed.Reason == gomail.ErrSMTPMailFrom:
		return false, fmt.Errorf("%w: %s", notify.ErrUnavailable, words)
	case code >= 500:
		return false, fmt.Errorf("%w: %s", notify.ErrRefused, words)
	case code >= 400:
		return false, errors.New(words)
	case failed.Reason == gomail.ErrSMTPDataClose:
		return false, fmt.Errorf("%w: %s", notify.ErrUncertain, words)
	case failed.Reason == gomail.ErrGetRcpts || failed.Reason == gomail.ErrGetSender:
		return false, fmt.Errorf("%w: %s", notify.ErrRefused, words)
	}
	return false, fmt.Errorf("%w: %s", notify.ErrUnavailable, words)
}

const maxWords = 300

// words returns an error's text without addresses and the password.
func (s *Sender) words(err error, to string) string {
	var text string
	var failed *gomail.SendError
	if errors.As(err, &failed) {
		text, _, _ = strings.Cut(failed.Error(), ", affected recipient(s): ")
		text, _, _ = strings.Cut(text, ", affected message ID: ")
	} else {
		text = err.Error()
	}
	hide := []string{to, s.server.password, s.server.user}
	if local, _, found := cutLast(to, "@"); found && len(local) > 3 {
		hide = append(hide, local)
	}
	for _, secret := range hide {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
			text = strings.ReplaceAll(text, strings.ToLower(secret), "…")
		}
	}
	words := strings.Fields(strings.ReplaceAll(text, `"`, ""))
	for i, word := range words {
		if strings.Contains(word, "@") {
			words[i] = "…"
		}
	}
	text = strings.Join(words, " ")
	if runes := []rune(text); len(runes) > maxWords {
		text = string(runes[:maxWords])
	}
	return text
}

// Test connects and logs in, and sends nothing.
func (s *Sender) Test(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	_ = s.client.CloseWithSMTPClient(c.client)
	c.close()
	return nil
}

// Address is the mail server's host and port, for logs.
func (s *Sender) Address() string { return s.server.host + ":" + strconv.Itoa(s.server.port) }
