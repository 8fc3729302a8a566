package output_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

var (
	at   = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	euro = func(minor int64) booking.Money { return booking.Money{Minor: minor, Currency: "eur"} }
	pay  = payments.Payment{ID: "p-1", BookingID: "b-1", SessionID: "cs_1", Amount: euro(2600), Captured: euro(2500),
		Refunded: euro(0), Lost: euro(500), ParkedReason: "amount_differs", CreatedAt: at, UpdatedAt: at}
	refund = payments.Refund{ID: "r-1", PaymentID: "p-1", Status: payments.RefundDue, Amount: euro(1000),
		Cause: "case\x1b 7", LastError: "balance_insufficient", Tries: 2, NextTry: at, CreatedAt: at}
	dispute = payments.Dispute{ID: "dp_1", PaymentID: "p-1", Status: "open", Reason: "fraudulent", CreatedAt: at}
	entry   = webhook.Entry{ID: "evt_1", Type: "charge.refunded", Outcome: webhook.Failed, ReceivedAt: at, Attempts: 3,
		ObjectID: "ch_1", LastError: "bad\x1b[31m luck"}
)

// Compared without the width of columns; lines of JSON are valid.
func TestPrinter_TextAndJSON(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		print      func(output.Printer) error
		text, json string
		err        string
	}{
		"a line": {func(p output.Printer) error { return p.Line("ready", map[string]string{"status": "<ready>"}) },
			"ready\n", `{"status":"<ready>"}` + "\n", ""},
		"events": {func(p output.Printer) error { return p.Entries([]webhook.Entry{entry}) },
			"RECEIVED ID TYPE OUTCOME ATTEMPTS OBJECT ERROR\n" +
				`2026-12-01T10:00:00Z evt_1 charge.refunded failed 3 ch_1 bad\x1b[31m luck` + "\n", `"evt_1"`, ""},
		"an event without its payload": {func(p output.Printer) error { return p.Record(webhook.Record{Entry: entry}) },
			"live: no\nobject: ch_1\nreceived: 2026-12-01T10:00:00Z\nthe payload is not kept\n", `"evt_1"`, ""},
		"an event": {func(p output.Printer) error {
			return p.Record(webhook.Record{Entry: entry, Payload: []byte(`{"id":"evt_1"}`)})
		}, "\n\n{\"id\":\"evt_1\"}\n", `"payload":"{\"id\":\"evt_1\"}"`, ""},
		"an empty backlog": {func(p output.Printer) error { return p.Backlog(webhook.Backlog{}) },
			"oldest unprocessed: none\nlast processed: none of the newest 1000\n", `{"failed":0,`, ""},
		"a backlog": {func(p output.Printer) error {
			return p.Backlog(webhook.Backlog{Failed: 2, Oldest: at, Age: 90 * time.Second, LastProcessed: at})
		}, "failed: 2\n", `"oldestAgeSeconds":90,"oldest":"2026-12-01T10:00:00Z"`, ""},
		"replayed": {func(p output.Printer) error {
			return replayed(p, []webhook.Replayed{
				{ID: "evt_1", Type: "x", Was: webhook.Failed, Outcome: webhook.Processed},
				{ID: "evt_2", Type: "x", Was: webhook.Failed, Outcome: webhook.Failed, Err: errors.New("planted")},
				{ID: "evt_3", Skipped: webhook.SkippedUnknown},
				{ID: "evt_4", Was: webhook.Parked, Skipped: webhook.SkippedOutcome},
				{ID: "evt_5", Was: webhook.Failed, Skipped: webhook.SkippedNoHandler},
				{ID: "evt_6", Was: webhook.Failed, Skipped: webhook.SkippedNoPayload},
			}, false)
		}, "evt_1: x, failed -> processed\nevt_2: x, failed -> failed: planted\nevt_3: not in the ledger\n" +
			"evt_4: parked, which --outcome does not name\n" +
			"evt_5: failed, and this host has no handler for it (its type, mode or account)\n" +
			"evt_6: failed, and its payload is not kept\n",
			`{"id":"evt_2","type":"x","was":"failed","outcome":"failed","error":"planted"}`,
			"5 of 6 events are not settled"},
		"a dry run": {func(p output.Printer) error {
			return replayed(p, []webhook.Replayed{{ID: "evt_1", Type: "x", Was: webhook.Failed}}, true)
		}, "evt_1: x, failed\ndry run: nothing was done\n", `"was":"failed"}`, ""},
		"nothing to replay": {func(p output.Printer) error { return replayed(p, nil, false) },
			"nothing to replay\n", "", ""},
		"ignored": {func(p output.Printer) error {
			return p.Ignored([]webhook.IgnoreResult{{ID: "evt_1", Was: webhook.Failed, Ended: true},
				{ID: "evt_2", Was: webhook.Processed}, {ID: "evt_3"}})
		}, "evt_1: failed -> ignored\nevt_2: processed, left as it is\nevt_3: not in the ledger\n",
			`{"id":"evt_1","was":"failed","ignored":true}`, "2 of 3 events had nothing to end"},
		"fetched": {func(p output.Printer) error {
			f := output.Fetched{Printer: p}
			f.Add(payments.FetchedEvent{ID: "evt_1", Type: "x", Outcome: webhook.Processed})
			f.Add(payments.FetchedEvent{ID: "evt_2", Type: "x", Was: webhook.Processed, Outcome: webhook.Duplicate})
			f.Add(payments.FetchedEvent{ID: "evt_3", Type: "x", Outcome: webhook.Unmatched, BookingID: "b-1",
				Reference: "p-1", SessionID: "cs_1", Amount: 2500, Currency: "eur", Err: errors.New("planted")})
			return f.End()
		}, "evt_1: x -> processed\n" +
			"evt_3: x -> unmatched (booking b-1, payment p-1, session cs_1, 2500 eur): planted\n" +
			"3 events listed, 2 of them new here\n", `"bookingId":"b-1","amountMinor":2500,`,
			"1 of 3 events failed or match nothing here"},
		"nothing needs attention": {func(p output.Printer) error { return p.Attention(nil, nil) },
			"nothing needs attention\n", "", ""},
		"attention": {func(p output.Printer) error {
			return p.Attention([]payments.Payment{pay}, []payments.Refund{refund})
		}, "PAYMENT BOOKING STATUS REASON REQUESTED PAID REFUNDED\n", `"capturedCurrency":"eur"`, ""},
		"a payment": {func(p output.Printer) error {
			return p.Payment(pay, []payments.Refund{refund}, []payments.Dispute{dispute})
		}, "requested: 26.00 EUR\npaid: 25.00 EUR\nrefunded: 0.00 EUR\nlost to disputes: 5.00 EUR\nsession: cs_1\n" +
			"created: 2026-12-01T10:00:00Z\nchanged: 2026-12-01T10:00:00Z\n" +
			"DISPUTE STATUS AMOUNT REASON CLOSED AS SINCE\ndp_1 open all fraudulent 2026-12-01T10:00:00Z\n" +
			"REFUND PAYMENT STATUS AMOUNT CAUSE TRIES ERROR\n" +
			`r-1 p-1 due 10.00 EUR case\x1b 7 2 balance_insufficient` + "\n", `"nextTry":"2026-12-01T10:00:00Z"`, ""},
		"no refunds": {func(p output.Printer) error { return p.Refunds(nil) }, "", "", ""},
		"resources": {func(p output.Printer) error {
			return p.Resources([]booking.Resource{{Slug: "court", Name: strings.Repeat("long ", 20), Capacity: 2,
				Price: euro(2500), TimeZone: "UTC", Inactive: true}})
		}, "court " + strings.Repeat("long ", 12) + "… 2 25.00 EUR 0 UTC no\n", `"slug":"court"`, ""},
		"a resource as a file": {func(p output.Printer) error {
			return p.ResourceFile([]booking.Resource{{Slug: "court", Name: "Court", Price: euro(2500)}})
		}, "slug: court\n", `"price":"25.00"`, ""},
		"created": {func(p output.Printer) error {
			return p.Applied(booking.Applied{Created: true, Resource: booking.Resource{Slug: "court"}}, true)
		}, "court: created\n", `{"slug":"court","result":"created","dryRun":true}`, ""},
		"changed": {func(p output.Printer) error {
			return p.Applied(booking.Applied{Resource: booking.Resource{Slug: "court"}, Changes: []booking.FieldChange{
				{Field: "a", To: "1"}, {Field: "b", From: "2"}, {Field: "c", From: "3", To: "4"}}}, false)
		}, "court: changed\n + a: 1\n - b: 2\n ~ c: 3 -> 4\n", `{"field":"c","from":"3","to":"4"}`, ""},
		"migrations": {func(p output.Printer) error {
			return p.Migrations([]migrations.Migration{{Set: "auth", Version: 1, File: "auth/1.sql", Applied: true},
				{Set: "auth", Version: 2, File: "auth/2.sql"}})
		}, "SET VERSION STATE FILE\nauth 1 applied auth/1.sql\nauth 2 pending auth/2.sql\n",
			`{"set":"auth","version":2,"file":"auth/2.sql","applied":false}`, ""},
		"nothing migrated": {func(p output.Printer) error { return p.NothingMigrated() }, "nothing to apply\n", "", ""},
		"migrated": {func(p output.Printer) error {
			return p.Migrated(migrations.Migration{Set: "auth", Version: 2, File: "auth/2.sql"})
		}, "applied auth/2.sql\n", `"applied":true`, ""},
		"users": {func(p output.Printer) error {
			return p.Users(auth.Account{User: auth.User{Email: "ada@example.com", Role: "OPS"}, UpdatedAt: at})
		}, "EMAIL ROLE STATE SINCE\nada@example.com OPS disabled 2026-12-01 10:00Z\n", `"active":false`, ""},
		"links": {func(p output.Printer) error {
			l := output.Links{Printer: p, URL: func(id, token string) string { return "/" + id + "?" + token }}
			b := booking.Booking{ID: "b-1", Start: at, OwnerToken: "t&t"}
			for range 2 {
				l.Add(b)
				if err := l.Flush(); err != nil {
					return err
				}
			}
			return l.Flush()
		}, "BOOKING START E-MAIL LINK\nb-1 2026-12-01T10:00:00Z /b-1?t&t\nb-1 2026-12-01T10:00:00Z /b-1?t&t\n",
			`"link":"/b-1?t&t"`, ""},
		"findings": {func(p output.Printer) error {
			return p.Findings([]doctor.Finding{{Level: doctor.OK, Name: "disk", Found: "2 GB"},
				{Level: doctor.Problem, Name: "database", Found: "two\nlines", Remedy: "restart\tit"}})
		}, "ok disk: 2 GB\nproblem database: two lines\n -> restart it\n\n" +
			"1 problem, 0 warnings; docs/doctor.md explains each\n", `"remedy":"restart\tit"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(err error) {
				if c.err == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, c.err)
				}
			}
			var text, lines strings.Builder
			check(c.print(output.Printer{Out: &text}))
			squeezed := strings.Split(text.String(), "\n")
			for i, line := range squeezed {
				// An indented line stays one.
				prefix := line[:min(1, len(line)-len(strings.TrimLeft(line, " ")))]
				squeezed[i] = prefix + strings.Join(strings.Fields(line), " ")
			}
			require.Contains(t, strings.Join(squeezed, "\n"), c.text)
			check(c.print(output.Printer{Out: &lines, JSON: true}))
			require.Contains(t, lines.String(), c.json)
			if c.json == "" {
				require.Empty(t, lines.String())
			}
			for line := range strings.Lines(lines.String()) {
				require.True(t, json.Valid([]byte(line)), line)
			}
		})
	}
}

// The bookings in the way are listed in local time.
func TestRefusal_CapacityTooSmall(t *testing.T) {
	t.Parallel()
	r := booking.Resource{Slug: "court", TimeZone: "Europe/Paris"}
	err := output.Refusal(r, &booking.CapacityError{Bookings: []booking.Booking{
		{ID: "b-1", Start: at, End: at.Add(time.Hour), Party: 5, Status: "pending"}}})
	require.ErrorContains(t, err, "these bookings prevent it (times in Europe/Paris):\n"+
		"  b-1  2026-12-01 11:00 to 2026-12-01 12:00  party 5  pending")
	require.EqualError(t, output.Refusal(r, errors.New("planted")), "court: planted")
}

func replayed(p output.Printer, all []webhook.Replayed, dry bool) error {
	r := output.Replayed{Printer: p, DryRun: dry}
	for _, one := range all {
		r.Add(one)
	}
	return r.End(0)
}
