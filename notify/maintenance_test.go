package notify_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
)

// Without a sender nothing is kept for ever.
func TestDeleteOld_DropsAndDeletes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := newStore(t, db, nil)
	_, err := s.Send(t.Context())
	require.Error(t, err)
	old := enqueue(t, db, s, notify.Draft{Reference: "old", DueAt: time.Now().Add(-4 * day)})
	fresh := enqueue(t, db, s, notify.Draft{Reference: "fresh", DueAt: time.Now().Add(-2 * day)})
	n, err := s.DeleteOld(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	old = get(t, s, old.ID)
	require.Equal(t, notify.StateDropped, old.State)
	require.Equal(t, "not_sent_in_time", old.Reason)
	require.Equal(t, notify.StateDue, get(t, s, fresh.ID).State)
	exec(t, db, `UPDATE booking_platform.messages SET settled_at = settled_at - interval '91 days'`)
	n, err = s.DeleteOld(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = s.Get(t.Context(), old.ID)
	require.ErrorIs(t, err, notify.ErrNotFound)
	require.Equal(t, notify.StateDue, get(t, s, fresh.ID).State)
}

func TestResend_SentMessageIsCopied(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent)
	m := enqueue(t, db, s, notify.Draft{Reference: "b1", Occurrence: "1", Data: map[string]int{"n": 1}})
	for n := range 3 {
		_, err := s.Send(t.Context())
		require.NoError(t, err)
		require.Len(t, sent.ids(), n+1)
		require.NoError(t, s.Resend(t.Context(), m.ID))
	}
	require.NotEqual(t, sent.ids()[0], sent.ids()[1])
	require.NotEqual(t, sent.ids()[1], sent.ids()[2])
	require.ErrorIs(t, s.Resend(t.Context(), "no id"), notify.ErrNotFound)
	require.ErrorIs(t, s.Resend(t.Context(), "00000000-0000-0000-0000-000000000000"), notify.ErrNotFound)
}

func TestPreview_SendsNothing(t *testing.T) {
	t.Parallel()
	db, sent := testdb.New(t), &outbox{}
	s := newStore(t, db, sent)
	m := enqueue(t, db, s, numbered(1))
	mail, err := s.Preview(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, "Hello r1", mail.Subject)
	require.Equal(t, m.MessageID("booking.example"), mail.MessageID)
	require.Empty(t, sent.ids())
	m.Kind = "unknown"
	_, err = s.Preview(t.Context(), m)
	require.ErrorIs(t, err, notify.ErrNotFound)
}

func TestErase_ByReferenceAndAddress(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		s := newStore(t, db, &outbox{})
		for _, d := range []notify.Draft{
			{Reference: "b1"}, {Reference: "b1", Occurrence: "2"}, {Reference: "b2"},
			{Reference: "b3", Recipient: "Ann@Example.com"}, {Reference: "b4", Recipient: "x.ann@example.com"},
			{Reference: ""},
		} {
			d.Kind = "greeting"
			inTx(t, db, func(tx *sql.Tx) {
				_, err := s.Enqueue(t.Context(), tx, d)
				require.NoError(t, err)
			})
		}
		ann := notify.Subject{References: []string{"b1"}, Addresses: []string{"ann@example.COM"}}
		all, err := s.Export(t.Context(), ann)
		require.NoError(t, err)
		require.Len(t, all, 3)
		n, err := s.CountOf(t.Context(), ann)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		n, err = s.Erase(t.Context(), notify.Subject{})
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = s.Erase(t.Context(), ann)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		left, err := s.List(t.Context(), notify.ListOptions{})
		require.NoError(t, err)
		require.Len(t, left, 3)
	})
}
