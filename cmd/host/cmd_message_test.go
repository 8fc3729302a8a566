package main_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A booking's mails are in the mailbox, with the calendar file, within five seconds, and
// the commands show them.
func TestMessages_MailboxAndCommands(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir(),
		"MAIL_FROM": "Studio <hello@example.com>", "MAIL_OWNER_LANGUAGE": "fr"}
	h := startHost(t, env)
	c := h.client()
	require.Contains(t, c.get("/mailbox").body, "no mails yet")
	var b created
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	link := regexp.MustCompile(`href="(/mailbox/[0-9]+)">Your booking is confirmed`)
	var page string
	eventually(t, "the mail is there", func() bool {
		found := link.FindStringSubmatch(c.get("/mailbox").body)
		if found == nil {
			return false
		}
		page = found[1]
		return true
	})
	eventually(t, "the owner's mail is there, in the owner's language", func() bool {
		return strings.Contains(c.get("/mailbox").body, "Nouvelle réservation\u00a0: The Studio")
	})
	shown := c.get(page).body
	require.Contains(t, shown, b.ID)
	require.Contains(t, shown, "token="+b.Token)
	require.Contains(t, shown, "REQUEST")
	file := c.get(page + "/files/0")
	require.Contains(t, file.body, "UID:"+b.ID)
	html := c.get(page + "/html")
	require.Contains(t, html.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, html.body, "Studio")

	run := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := command(t, env, append([]string{"message"}, args...)...)
		require.Equal(t, 0, status, stderr)
		return stdout
	}
	list := run("list", "--booking", b.ID, "--kind", "customer.confirmed", "--json")
	var m struct{ ID, State string }
	require.NoError(t, json.Unmarshal([]byte(list), &m))
	require.Equal(t, "sent", m.State)
	require.Contains(t, run("show", m.ID), "Your booking of The Studio is confirmed.")
	require.Contains(t, run("list", "--state", "expanded"), "booking.change")
	require.Contains(t, run("resend", m.ID), "due again")
	eventually(t, "the copy is there", func() bool {
		return len(link.FindAllString(c.get("/mailbox").body, -1)) == 2
	})
	require.Empty(t, run("resend", "--refused"))
	require.Equal(t, "1 mail due\n", run("link", "--coming"))
	require.Equal(t, "0 mails due\n", run("link", b.ID), "once a day")
	eventually(t, "the link is there", func() bool {
		return strings.Contains(c.get("/mailbox").body, "Your link: The Studio")
	})
	status, renewed, stderr := command(t, env, "booking", "renew-links", "--mail", "--json", b.ID)
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "1 mail due\n", stderr)
	var line struct{ Link string }
	require.NoError(t, json.Unmarshal([]byte(renewed), &line))
	require.NotContains(t, line.Link, b.Token)
	status, _, stderr = command(t, env, "booking", "renew-links", "--mail", "--all")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "1 mail due\n", stderr)
	eventually(t, "both new links are mailed", func() bool {
		return strings.Count(c.get("/mailbox").body, "Your link: The Studio") == 3
	})
	status, _, stderr = command(t, env, "message", "test", "ann@example.com")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "SMTP_URL")
	for _, args := range [][]string{{"resend"}, {"link"}, {"link", "--coming", b.ID},
		{"resend", "--refused", m.ID}, {"list", "--state", "x"}, {"test", "ann"}} {
		status, _, _ := command(t, env, append([]string{"message"}, args...)...)
		require.Equal(t, 2, status, args)
	}
	status, _, stderr = command(t, env, "message", "show", "nonsense")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no message "nonsense"`)
}

// With a mail server there is no mailbox, whose pages have private links, and what cannot
// be sent is due.
func TestMessages_NoMailboxWithAMailServer(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir(),
		"SMTP_URL": "smtp://127.0.0.1:1?tls=off", "MAIL_FROM": "hello@example.com", "MAIL_OWNER": "owner@example.com"}
	h := startHost(t, env)
	c := h.client()
	for _, path := range []string{"/mailbox", "/mailbox/", "/mailbox/1"} {
		require.Equal(t, http.StatusNotFound, c.get(path).status, path)
	}
	var b created
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	eventually(t, "an attempt fails", func() bool {
		_, stdout, _ := command(t, env, "message", "list", "--state", "due", "--booking", b.ID)
		return strings.Contains(stdout, "mail server unavailable")
	})
	status, _, stderr := command(t, env, "message", "test", "ann@example.com")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "127.0.0.1:1 did not accept the mail")
	status, _, stderr = command(t, env, "message", "link", "nonsense")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no booking "nonsense"`)
}

// Production has no mailbox, with or without a mail server.
func TestMessages_ProductionHasNoMailbox(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"APP_ENV": "production", "APP_URL": "https://booking.example.com",
		"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": strings.Repeat("s", 16) + "0123456789abcdefXYZ",
		"STRIPE_SECRET_KEY": "sk_test_messages", "STRIPE_WEBHOOK_SECRET": "whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd"})
	require.Equal(t, http.StatusNotFound, h.client().get("/mailbox").status)
}
