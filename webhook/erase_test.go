package webhook_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// personal is a body about a charge of Zoë Lovelace.
func personal(id, eventType, intent, email string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","type":%q,"created":1795000000,"data":{
		"object":{"id":"ch_1","object":"charge","amount":2500,"currency":"eur","payment_intent":%q,"status":"won",
			"metadata":{"payment_id":"p1","order":"Zo\u00eb Lovelace, table 4"},
			"billing_details":{"name":"Zo\u00eb Lovelace","email":%q,"address":{"line1":"12 St James"}},
			"payment_method_details":{"type":"card","card":{"last4":"4242","exp_year":2031,"brand":null}},
			"receipt_email":%q,"hosted_invoice_url":"https://invoice.example/i",
			"invoice_pdf":"https://invoice.example/p",
			"paid":true},
		"previous_attributes":{"receipt_email":%q}}}`, id, eventType, intent, email, email, email)
}

func TestRedact_KeepsWhatHandlersNeed(t *testing.T) {
	t.Parallel()
	body := personal("evt_1", completed, "pi_1", "zoë@example.com")
	got := webhook.Redact(body)
	var event struct {
		ID, Type string
		Data     struct {
			Object struct {
				ID, Object, Currency, Status string
				Amount                       int64
				PaymentIntent                string `json:"payment_intent"`
				Paid                         bool
				Metadata                     map[string]string
				Details                      struct {
					Type string
					Card struct {
						Last4 string
						Year  int `json:"exp_year"`
					}
				} `json:"payment_method_details"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(got, &event))
	o := event.Data.Object
	require.Equal(t, "evt_1 "+completed+" ch_1 charge eur won pi_1", strings.Join([]string{event.ID, event.Type, o.ID,
		o.Object, o.Currency, o.Status, o.PaymentIntent}, " "))
	require.Equal(t, int64(2500), o.Amount)
	require.True(t, o.Paid)
	require.Equal(t, map[string]string{"payment_id": "p1", "order": ""}, o.Metadata)
	require.Equal(t, "card", o.Details.Type)
	require.Empty(t, o.Details.Card)
	for _, word := range []string{"Zo", "Lovelace", "James", "4242", "2031", "example"} {
		require.NotContains(t, string(got), word)
	}
	require.Equal(t, string(got), string(webhook.Redact(got)), "a repetition changes nothing")
	for _, other := range []string{"", "null", "[1]", "{", `"text"`} {
		require.Equal(t, `{"_redacted":true}`, string(webhook.Redact([]byte(other))))
	}
	require.Equal(t, `{"_redacted":true,"n":12345678901234567890123}`,
		string(webhook.Redact([]byte(`{"n":12345678901234567890123}`))))
}

func TestRedact_WholeWordsOnly(t *testing.T) {
	t.Parallel()
	for text, gone := range map[string]bool{
		"ada@example.com": true, "ADA@Example.com": true, "mail to ada@example.com.": true, "<ada@example.com>": true,
		"(ada@example.com)": true, "nada@example.com": false, "x.ada@example.com": false, "x+ada@example.com": false,
		"ada@example.com.au": false, "ada@example.community": false, "ada@example.com-pany.org": false,
		"nada@example.com, ada@example.com": true, "": false, "ada": false,
	} {
		body, err := json.Marshal(map[string]any{"data": map[string]any{"object": map[string]any{"field": text}}})
		require.NoError(t, err)
		got := string(webhook.Redact(body, "ada@example.com"))
		require.Equal(t, gone || text == "", strings.Contains(got, `"field":""`), "%q", text)
	}
}

// Each outcome: what is settled loses its payload, what may be handled again is redacted.
func TestLedgerErase_EachOutcome(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		r := newReceiver(t, db, webhook.Options{KeepPayload: true})
		outcome := webhook.Processed
		r.Handle(completed, func(_ context.Context, _ webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			if outcome == webhook.Failed && ev.PaymentIntentID == "pi_1" {
				return "", errors.New("cannot write to zoë@example.com")
			}
			if outcome == webhook.Failed {
				return "", errors.New("no")
			}
			return outcome, nil
		})
		all := []webhook.Outcome{webhook.Processed, webhook.Ignored, webhook.Unmatched, webhook.Parked, webhook.Failed}
		for _, outcome = range all {
			send(t, r, personal("evt_"+string(outcome), completed, "pi_1", "zoë@example.com"))
			send(t, r, personal("evt_other_"+string(outcome), completed, "pi_2", "x.zoë@example.com"))
		}
		send(t, r, personal("evt_skipped", "no.handler", "pi_1", "zoë@example.com"))
		send(t, r, []byte(`{"id":"evt_customer","type":"customer.updated","data":{"object":{"email":"zo\u00eb@example.com"}}}`))

		subject := webhook.Subject{PaymentIntentIDs: []string{"pi_1", ""}, Addresses: []string{"ZOË@example.com", ""}}
		records, err := r.Ledger().Records(t.Context(), subject)
		require.NoError(t, err)
		var ids []string
		for _, record := range records {
			ids = append(ids, record.ID)
		}
		require.Equal(t, []string{
			"evt_processed", "evt_ignored", "evt_unmatched", "evt_parked", "evt_failed", "evt_skipped",
			"evt_customer"}, ids)
		for n, opts := range []webhook.EraseOptions{{DryRun: true}, {}} {
			got, err := r.Ledger().Erase(t.Context(), subject, opts)
			require.NoError(t, err)
			require.Equal(t, 7, got, n)
		}
		again, err := r.Ledger().Erase(t.Context(), subject, webhook.EraseOptions{})
		require.NoError(t, err)
		require.Zero(t, again)

		for id, keeps := range map[string]bool{"evt_processed": false, "evt_ignored": false, "evt_unmatched": true,
			"evt_parked": true, "evt_failed": true, "evt_skipped": true, "evt_customer": true} {
			record, err := r.Ledger().Find(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, keeps, record.Payload != nil, id)
			require.NotContains(t, string(record.Payload), "example")
			require.Empty(t, record.LastError)
		}
		for _, o := range all {
			record, err := r.Ledger().Find(t.Context(), "evt_other_"+string(o))
			require.NoError(t, err)
			require.Contains(t, string(record.Payload), "x.zoë@example.com")
		}
		outcome = webhook.Processed
		replayed, err := r.Replay(t.Context(), webhook.ReplayOptions{IDs: []string{"evt_failed", "evt_unmatched"}})
		require.NoError(t, err)
		for _, one := range replayed {
			require.Equal(t, webhook.Processed, one.Outcome, "a redacted event can be processed")
		}
	})
}

// Another service's ledger keeps its events.
func TestLedgerErase_OwnReceiverOnly(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r, other := newReceiver(t, db, webhook.Options{}), newReceiver(t, db, webhook.Options{Name: "other"})
	for _, each := range []*webhook.Receiver{r, other} {
		send(t, each, personal("evt_1", completed, "pi_1", "ada@example.com"))
	}
	n, err := r.Ledger().Erase(t.Context(), webhook.Subject{Addresses: []string{"ada@example.com"}},
		webhook.EraseOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	record, err := other.Ledger().Find(t.Context(), "evt_1")
	require.NoError(t, err)
	require.Contains(t, string(record.Payload), "ada@example.com")
}

// Erased is asked about an event exactly when its payload is stored, in its transaction.
func TestErased_AskedWhenThePayloadIsStored(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		for _, outcome := range []webhook.Outcome{webhook.Processed, webhook.Ignored, webhook.Unmatched, webhook.Parked,
			webhook.Failed} {
			t.Run(fmt.Sprint(outcome, keep), func(t *testing.T) {
				t.Parallel()
				db := testdb.New(t)
				asked := 0
				r := newReceiver(t, db, webhook.Options{KeepPayload: keep,
					Erased: func(ctx context.Context, q webhook.Querier, ev webhook.Event) (bool, error) {
						asked++
						var there bool
						err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM booking_platform.payment_events
							WHERE stripe_event_id = $1::text)`, ev.ID).Scan(&there)
						require.True(t, there, "in the event's transaction")
						return ev.PaymentIntentID == "pi_1", err
					}})
				r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
					if outcome == webhook.Failed {
						return "", errors.New("no")
					}
					return outcome, nil
				})
				for _, intent := range []string{"pi_1", "pi_2"} {
					send(t, r, personal("evt_"+intent, completed, intent, "ada@example.com"))
					record, err := r.Ledger().Find(t.Context(), "evt_"+intent)
					require.NoError(t, err)
					require.Equal(t, outcome, record.Outcome)
					stored := keep || outcome != webhook.Processed
					require.Equal(t, stored && intent == "pi_2", strings.Contains(string(record.Payload), "ada@"))
					require.Equal(t, stored && (intent == "pi_2" || outcome != webhook.Processed), record.Payload != nil)
				}
				if !keep && outcome == webhook.Processed {
					require.Zero(t, asked)
				} else {
					require.Equal(t, 2, asked)
				}
			})
		}
	}
}

func TestErased_BatchAndError(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var failure error
	r := newReceiver(t, db, webhook.Options{KeepPayload: true,
		Erased: func(context.Context, webhook.Querier, webhook.Event) (bool, error) { return true, failure }})
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Processed, nil
	})
	// It is not used, because Erased has to be asked.
	effects(t, db)
	r.HandleBatch(completed, effectBatch())
	require.Equal(t, done(webhook.Processed), send(t, r, personal("evt_1", completed, "pi_1", "ada@example.com")))
	record, err := r.Ledger().Find(t.Context(), "evt_1")
	require.NoError(t, err)
	require.Nil(t, record.Payload)
	failure = errors.New("the database does not answer")
	require.Equal(t, failed, send(t, r, personal("evt_2", completed, "pi_1", "ada@example.com")))
	_, err = r.Ledger().Find(t.Context(), "evt_2")
	require.ErrorIs(t, err, webhook.ErrNotFound, "rolled back with the failure's record")
}

// Payloads of events that an operator leaves alone are redacted after PersonalDataFor.
func TestDeleteOld_RedactsWaiting(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{PersonalDataFor: 30 * 24 * time.Hour})
	for _, outcome := range []webhook.Outcome{webhook.Failed, webhook.Parked} {
		for _, days := range []int{10, 40} {
			aged(t, db, fmt.Sprint("evt_", outcome, days), outcome, days, days)
		}
	}
	_, err := db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events SET payload = $1::text`,
		string(personal("evt_1", completed, "pi_1", "ada@example.com")))
	require.NoError(t, err)
	n, err := r.DeleteOld(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for id, old := range map[string]bool{"evt_failed10": false, "evt_failed40": true, "evt_parked10": false,
		"evt_parked40": true} {
		record, err := r.Ledger().Find(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, !old, strings.Contains(string(record.Payload), "ada@example.com"), id)
		require.Contains(t, string(record.Payload), "pi_1")
	}
	n, err = r.DeleteOld(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = webhook.New(db, []string{secret}, webhook.Options{PersonalDataFor: -1})
	require.Error(t, err)
}

// S3: A run is bounded by time, so that a busy ledger does not grow without an end.
func TestDeleteOld_ManyRows(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.ExecContext(t.Context(), `INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type,
			outcome, received_at, processed_at)
		SELECT 'default', 'evt_' || n, 'charge.refunded', 'processed', now() - interval '100 days',
			now() - interval '100 days' FROM generate_series(1, 15000) n`)
	require.NoError(t, err)
	n, err := newReceiver(t, db, webhook.Options{}).DeleteOld(t.Context())
	require.NoError(t, err)
	require.Equal(t, 15000, n)
}
