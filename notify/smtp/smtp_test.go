package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/smtp"
)

func sender(t *testing.T, s *server, user string) *smtp.Sender {
	t.Helper()
	out, err := smtp.New(smtp.Options{URL: s.url(user), From: "Studio Ünal <studio@example.com>", RootCAs: s.roots,
		Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = out.Close() })
	return out
}

func hello() notify.Mail {
	return notify.Mail{MessageID: "<1@booking.example>", To: "ann@example.com", ToName: "Ann Lee",
		ReplyTo: "owner@example.com", Subject: "Réservation confirmée", Language: "fr", Text: "Bonjour\n.\nune ligne", HTML: "<p>Bonjour</p>",
		Calendar: []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"), CalendarMethod: "REQUEST",
		Attachments: []notify.Attachment{{Name: "booking.ics", ContentType: "application/ics", Content: []byte("BEGIN")}},
		Headers:     map[string]string{"X-Kind": "test"}}
}

// parts returns the content types and contents of a mail, in order.
func parts(t *testing.T, contentType string, body io.Reader) (types []string, contents []string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	require.NoError(t, err)
	if !strings.HasPrefix(kind, "multipart/") {
		content, err := io.ReadAll(body)
		require.NoError(t, err)
		return []string{contentType}, []string{string(content)}
	}
	types, contents = []string{kind}, []string{""}
	reader := multipart.NewReader(body, params["boundary"])
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return types, contents
		}
		require.NoError(t, err)
		subTypes, subContents := parts(t, part.Header.Get("Content-Type"), part)
		types, contents = append(types, subTypes...), append(contents, subContents...)
	}
}

func TestSend_WhatArrives(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.NoError(t, sender(t, s, "").Send(t.Context(), hello()))
	mails := s.received()
	require.Len(t, mails, 1)
	got, err := mail.ReadMessage(bytes.NewReader([]byte(mails[0])))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "Réservation confirmée", subject)
	require.Equal(t, "<1@booking.example>", got.Header.Get("Message-ID"))
	require.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
	require.Equal(t, "fr", got.Header.Get("Content-Language"))
	require.Equal(t, "test", got.Header.Get("X-Kind"))
	from, err := got.Header.AddressList("From")
	require.NoError(t, err)
	require.Equal(t, "Studio Ünal", from[0].Name)
	to, err := got.Header.AddressList("To")
	require.NoError(t, err)
	require.Equal(t, mail.Address{Name: "Ann Lee", Address: "ann@example.com"}, *to[0])
	require.NotEmpty(t, got.Header.Get("Date"))
	types, contents := parts(t, got.Header.Get("Content-Type"), got.Body)
	require.Equal(t, []string{"multipart/mixed", "multipart/alternative"}, types[:2])
	require.Len(t, types, 6)
	for i, want := range []string{"text/plain", "text/html", "text/calendar"} {
		require.Contains(t, types[2+i], want)
	}
	require.Contains(t, types[4], "method=REQUEST")
	require.Contains(t, types[5], "application/ics")
	require.Contains(t, contents[2], "\r\n.\r\nune ligne", "a dot alone does not end the mail")
}

// A login, over both kinds of TLS.
func TestSend_EncryptedLogin(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*server){
		"starttls": func(s *server) { s.starttls = true }, "smtps": func(s *server) { s.implicit = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, change, func(s *server) { s.auth = "studio:p@ss word" })
			out := sender(t, s, "studio:p%40ss%20word@")
			require.NoError(t, out.Test(t.Context()))
			require.NoError(t, out.Send(t.Context(), hello()))
			require.Len(t, s.received(), 1)

			err := sender(t, s, "studio:wrong@").Send(t.Context(), hello())
			require.ErrorIs(t, err, notify.ErrUnavailable)
			require.Contains(t, err.Error(), "535")
			require.NotContains(t, err.Error(), "wrong")
			require.NotContains(t, err.Error(), "studio")
		})
	}
}

func TestSend_RefusesReadableConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	out, err := smtp.New(smtp.Options{URL: strings.TrimSuffix(s.url(""), "?tls=off"), From: "a@example.com"})
	require.NoError(t, err)
	require.ErrorIs(t, out.Send(t.Context(), hello()), notify.ErrUnavailable)
	encrypted := start(t, func(s *server) { s.starttls = true })
	out, err = smtp.New(smtp.Options{URL: encrypted.url(""), From: "a@example.com"})
	require.NoError(t, err)
	require.ErrorIs(t, out.Send(t.Context(), hello()), notify.ErrUnavailable, "the certificate is not trusted")
	require.Empty(t, s.received())
}

func TestSend_ConnectionIsKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	out := sender(t, s, "")
	for range 50 {
		require.NoError(t, out.Send(t.Context(), hello()))
	}
	require.Len(t, s.received(), 50)
	require.Equal(t, 1, s.connections)
}

func TestSend_Concurrent(t *testing.T) {
	t.Parallel()
	s := start(t)
	out := sender(t, s, "")
	var sending sync.WaitGroup
	for range 8 {
		sending.Go(func() {
			for range 10 {
				if err := out.Send(t.Context(), hello()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	require.Len(t, s.received(), 80)
}

// What the server answers, and what it means.
func TestSend_Answers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command, answer string
		want            error // nil is a failure that may pass.
		accepted        bool
	}{
		"no such user":        {"RCPT", "550 5.1.1 <ann@example.com>: unknown ann@example.com", notify.ErrRefused, false},
		"greylisted":          {"RCPT", "450 4.2.0 <ann@example.com>: greylisted", nil, false},
		"too large":           {"MAIL", "552 5.3.4 too large", notify.ErrRefused, false},
		"sender not allowed":  {"MAIL", "553 5.7.1 not your address", notify.ErrUnavailable, false},
		"login required":      {"MAIL", "530 5.7.0 authentication required", notify.ErrUnavailable, false},
		"spam":                {".", "554 5.7.1 looks like spam", notify.ErrRefused, false},
		"busy after the mail": {".", "451 4.3.0 try later", nil, false},
		"shutting down":       {"RCPT", "421 4.3.2 bye", notify.ErrUnavailable, false},
		"cut before the mail": {"RCPT", "cut", notify.ErrUnavailable, false},
		"cut at DATA":         {"DATA", "cut", notify.ErrUnavailable, false},
		"cut after the mail":  {".", "cut", notify.ErrUncertain, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(s *server) {
				s.answer = func(command string) string {
					if command == c.command {
						return c.answer
					}
					return ""
				}
			})
			err := sender(t, s, "").Send(t.Context(), hello())
			require.Error(t, err)
			for _, kind := range []error{notify.ErrRefused, notify.ErrUnavailable, notify.ErrUncertain} {
				if errors.Is(c.want, kind) {
					require.ErrorIs(t, err, kind)
				} else {
					require.NotErrorIs(t, err, kind)
				}
			}
			require.NotContains(t, err.Error(), "ann")
			if c.answer != "cut" {
				require.Contains(t, err.Error(), c.answer[:9])
			}
			require.Equal(t, c.accepted, len(s.received()) == 1)
		})
	}
}

// The answer to RSET after an accepted mail does not matter.
func TestSend_AcceptedThoughTheConnectionEnds(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *server) {
		s.answer = func(command string) string {
			if command == "RSET" {
				return "cut"
			}
			return ""
		}
	})
	out := sender(t, s, "")
	require.NoError(t, out.Send(t.Context(), hello()))
	require.NoError(t, out.Send(t.Context(), hello()))
	require.Len(t, s.received(), 2)
}

// A kept connection that the server has closed is replaced.
func TestSend_KeptConnectionIsGone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	noops := 0
	s := start(t, func(s *server) {
		s.answer = func(command string) string {
			mu.Lock()
			defer mu.Unlock()
			if command != "NOOP" {
				return ""
			}
			if noops++; noops == 2 {
				return "cut"
			}
			return ""
		}
	})
	out := sender(t, s, "")
	require.NoError(t, out.Send(t.Context(), hello()))
	require.NoError(t, out.Send(t.Context(), hello()))
	require.Len(t, s.received(), 2)
	require.Equal(t, 2, s.connections)
}

func TestSend_ServerIsGoneOrSilent(t *testing.T) {
	t.Parallel()
	s := start(t)
	out := sender(t, s, "")
	require.NoError(t, s.listener.Close())
	require.ErrorIs(t, out.Send(t.Context(), hello()), notify.ErrUnavailable)

	silent := start(t, func(s *server) {
		s.answer = func(command string) string {
			if command == "." {
				return "wait"
			}
			return ""
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	require.ErrorIs(t, sender(t, silent, "").Send(ctx, hello()), notify.ErrUncertain)
	require.Less(t, time.Since(began), 4*time.Second, "the end of the context ends it")
}

func TestSend_InternationalAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	out := sender(t, s, "")
	for _, to := range []string{"ann@bücher.example", `"ann lee"@example.com`} {
		m := hello()
		m.To = to
		require.NoError(t, out.Send(t.Context(), m), to)
	}
	require.Contains(t, s.recipients[0], "<ann@xn--bcher-kva.example>")
	require.Contains(t, s.recipients[1], `<"ann lee"@example.com>`)
}

// A Reply-To that needs a server with SMTPUTF8 is left out: the mail has another recipient,
// who would not get it because of a customer's address.
func TestSend_InternationalReplyTo(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"zoé@example.com": "", "zoe@exämple.de": "<zoe@xn--exmple-cua.de>", "zoe@example.com": "<zoe@example.com>",
	} {
		s := start(t)
		m := hello()
		m.ReplyTo = address
		require.NoError(t, sender(t, s, "").Send(t.Context(), m))
		got, err := mail.ReadMessage(strings.NewReader(s.received()[0]))
		require.NoError(t, err)
		require.Equal(t, want, got.Header.Get("Reply-To"))
	}
}

func TestSend_MalformedMailIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := hello()
	m.Subject = "Hello\r\nBcc: eve@example.com"
	require.ErrorIs(t, sender(t, s, "").Send(t.Context(), m), notify.ErrRefused)
	require.Zero(t, s.connections)
}

func TestNew_URLs(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"smtp://mail.example.com": true, "smtps://u:p@mail.example.com": true,
		"smtp://u:p%40ss@mail.example.com:2525": true,
		"smtp://localhost:1025?tls=off":         true, "smtp://mail.example.com?tls=required": true,
		"smtp://[::1]:25?tls=off": true,
		"":                        false, "mail.example.com": false, "http://mail.example.com": false, "smtp://u:secret@mail.example.com?tls=off": false,
		"smtp://u@mail.example.com": false, "smtp://mail.example.com:0": false, "smtp://mail.example.com:99999": false,
		"smtp://mail.example.com/box": false, "smtp://mail.example.com?tls=no": false,
		"smtps://mail.example.com?tls=off": false,
		"smtp://u:secret@":                 false, "smtp://u:sec ret@mail.example.com": false,
		"smtp://u:sec%zzret@mail.example.com": false,
	} {
		_, err := smtp.New(smtp.Options{URL: url, From: "a@example.com"})
		require.Equal(t, ok, err == nil, "%s: %v", url, err)
		if err != nil {
			require.NotContains(t, err.Error(), "sec")
		}
	}
	for from, ok := range map[string]bool{
		"a@example.com": true, "Studio <a@example.com>": true, "a@localhost": true, "": false, "a": false,
		"a@example": false,
	} {
		_, err := smtp.New(smtp.Options{URL: "smtp://mail.example.com", From: from})
		require.Equal(t, ok, err == nil, from)
	}
}
