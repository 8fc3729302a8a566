package notify_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
)

func TestEnqueue_SentOnceAndOnlyIfCommitted(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		sent := &outbox{}
		s := newStore(t, db, sent)
		tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
		require.NoError(t, err)
		added, err := s.Enqueue(t.Context(), tx, notify.Draft{Kind: "greeting", Reference: "rolled back"})
		require.NoError(t, err)
		require.True(t, added)
		require.NoError(t, tx.Rollback())

		at := time.Now().Add(-time.Hour).Truncate(time.Second)
		m := enqueue(t, db, s, notify.Draft{Reference: "b1", Occurrence: "1", Recipient: "ann@example.com",
			Language: "fr", Data: map[string]string{"from": "a"}, DueAt: at})
		inTx(t, db, func(tx *sql.Tx) {
			again, err := s.Enqueue(t.Context(), tx, notify.Draft{Kind: "greeting", Reference: "b1", Occurrence: "1"})
			require.NoError(t, err)
			require.False(t, again)
		})
		n, err := s.Send(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, []string{"<" + m.ID + "@booking.example>"}, sent.ids())
		n, err = s.Send(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)

		m = get(t, s, m.ID)
		require.Equal(t, notify.StateSent, m.State)
		require.Equal(t, 1, m.Attempts)
		require.Zero(t, m.Uncertain)
		require.Equal(t, "fr", m.Language)
		require.True(t, at.Equal(m.DueAt), m.DueAt)
		require.NotZero(t, m.SettledAt)
		var data struct{ From string }
		require.NoError(t, m.Decode(&data))
		require.Equal(t, "a", data.From)
	})
}

func TestEnqueue_NotBeforeItIsDue(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent)
	m := enqueue(t, db, s, notify.Draft{Reference: "b1", DueAt: time.Now().Add(day)})
	_, err := s.Send(t.Context())
	require.NoError(t, err)
	require.Empty(t, sent.ids())
	counts, err := s.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, notify.Counts{}, counts, "it is not late")
	now(t, db)
	_, err = s.Send(t.Context())
	require.NoError(t, err)
	require.Len(t, sent.ids(), 1)
	require.Equal(t, notify.StateSent, get(t, s, m.ID).State)
}

func TestEnqueue_MalformedDraftLeavesTheTransaction(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := newStore(t, db, &outbox{})
	inTx(t, db, func(tx *sql.Tx) {
		for _, d := range []notify.Draft{
			{}, {Kind: "a\nb"}, {Kind: "a", Reference: "\x1f"}, {Kind: "a", Recipient: "ann"},
			{Kind: "a", Recipient: "ann@example.com\r\nBcc: eve@example.com"},
			{Kind: "a", Recipient: "Ann <ann@example.com>"},
			{Kind: "a", Data: []string{"no object"}}, {Kind: "a", Data: make(chan int)},
			{Kind: "a", Data: map[string]string{"long": strings.Repeat("x", 17<<10)}},
		} {
			_, err := s.Enqueue(t.Context(), tx, d)
			require.Error(t, err, "%+v", d)
		}
		added, err := s.Enqueue(t.Context(), tx, notify.Draft{Kind: "greeting", Recipient: `"ann lee"@bücher.example`})
		require.NoError(t, err)
		require.True(t, added)
	})
}

func TestNew_Problems(t *testing.T) {
	t.Parallel()
	_, err := notify.New(nil, notify.Options{})
	require.Error(t, err)
	for name, opts := range map[string]notify.Options{
		"domain":   {Domain: "a@b"},
		"parallel": {Parallel: -1},
		"timeout":  {Timeout: time.Hour},
		"keep":     {KeepFor: -1},
		"kind":     {Kinds: map[string]notify.Kind{"a": {}}},
		"both": {Kinds: map[string]notify.Kind{"a": {Compose: greet,
			Expand: func(context.Context, notify.Message) ([]notify.Draft, error) { return nil, nil }}}},
		"comma": {Kinds: map[string]notify.Kind{"a,b": {Compose: greet}}},
	} {
		_, err := notify.New(&sql.DB{}, opts)
		require.Error(t, err, name)
	}
}

func TestMail_Check(t *testing.T) {
	t.Parallel()
	good := notify.Mail{To: "ann@example.com", Subject: "Hello", Text: "Hello"}
	require.NoError(t, good.Check())
	for name, change := range map[string]func(*notify.Mail){
		"no recipient":       func(m *notify.Mail) { m.To = "" },
		"two recipients":     func(m *notify.Mail) { m.To = "ann@example.com, eve@example.com" },
		"name in To":         func(m *notify.Mail) { m.To = "Ann <ann@example.com>" },
		"line in To":         func(m *notify.Mail) { m.To = "ann@example.com\r\nBcc: eve@example.com" },
		"line in the name":   func(m *notify.Mail) { m.ToName = "Ann\nBcc: eve@example.com" },
		"line in Subject":    func(m *notify.Mail) { m.Subject = "Hello\r\n\r\nBody" },
		"separator":          func(m *notify.Mail) { m.Subject = "Hello\u2028Bcc: eve@example.com" },
		"no subject":         func(m *notify.Mail) { m.Subject = "" },
		"long subject":       func(m *notify.Mail) { m.Subject = strings.Repeat("x", 501) },
		"no text":            func(m *notify.Mail) { m.Text = "" },
		"reply to":           func(m *notify.Mail) { m.ReplyTo = "nowhere" },
		"header value":       func(m *notify.Mail) { m.Headers = map[string]string{"X-A": "a\nb"} },
		"header name":        func(m *notify.Mail) { m.Headers = map[string]string{"X A": "a"} },
		"calendar's method":  func(m *notify.Mail) { m.CalendarMethod = "REQUEST\r\nX: y" },
		"attachment's name":  func(m *notify.Mail) { m.Attachments = []notify.Attachment{{Name: "../a"}} },
		"name is no UTF-8":   func(m *notify.Mail) { m.ToName = "\xff" },
		"text is not UTF-8":  func(m *notify.Mail) { m.Text = "\xff" },
		"control characters": func(m *notify.Mail) { m.ToName = "Ann\x00" },
	} {
		m := good
		change(&m)
		require.Error(t, m.Check(), name)
	}
	for _, to := range []string{`"ann lee"@example.com`, "ann@bücher.example", "ann+tag@example.com",
		"änn@example.com"} {
		m := good
		m.To = to
		require.NoError(t, m.Check(), to)
	}
	require.ErrorAs(t, notify.Drop("cancelled"), new(*notify.DropError))
	require.False(t, errors.Is(notify.ErrRefused, notify.ErrUnavailable))
}
