package webhook_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/booking-platform/booking-platform/webhook"
)

// After a fix in a handler: replay the events that failed or were parked since yesterday,
// with a dry run first.
func ExampleReceiver_Replay() {
	var stripe *webhook.Receiver // With the handlers of the service.
	opts := webhook.ReplayOptions{
		Outcomes: []webhook.Outcome{webhook.Failed, webhook.Parked}, Since: time.Now().Add(-24 * time.Hour),
		DryRun: true,
	}
	found, err := stripe.Replay(context.Background(), opts)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(len(found), " events would be handled again")

	opts.DryRun = false
	replayed, err := stripe.Replay(context.Background(), opts)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range replayed {
		if !r.Settled() {
			log.Print(r.ID, " is left: ", r.Skipped, r.Err)
		}
	}
}

// Alert on events that are not processed.
func ExampleLedger_Backlog() {
	var db *sql.DB
	backlog, err := webhook.NewLedger(db, "").Backlog(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if backlog.Age > 10*time.Minute {
		log.Print("the oldest unprocessed event was received at ", backlog.Oldest)
	}
}

// The batch settles the plain case: orders that are unpaid. It locks them, so that none is
// paid twice, and leaves to the type's Handler what is locked, paid or repeated.
func ExampleReceiver_HandleBatch() {
	var stripe *webhook.Receiver // With a Handler for the type.
	stripe.HandleBatch("checkout.session.completed", webhook.Batch{
		Row: func(_ context.Context, ev webhook.Event) (any, bool) {
			return map[string]string{"event": ev.ID, "ref": ev.Reference}, ev.PaymentStatus == "paid"
		},
		Choose: `wanted AS MATERIALIZED (
			SELECT DISTINCT ON (t.ref) t.ref, t.event FROM jsonb_to_recordset($3::jsonb) AS t(event text, ref text)
			ORDER BY t.ref, t.event
		), locked AS MATERIALIZED (
			SELECT o.reference FROM orders o
			WHERE o.reference IN (SELECT w.ref FROM wanted w) AND o.status = 'unpaid'
			FOR NO KEY UPDATE OF o SKIP LOCKED
		), chosen AS (
			SELECT w.event AS event_id FROM wanted w JOIN locked l ON l.reference = w.ref
		)`,
		Apply: `applied AS (
			UPDATE orders o SET status = 'paid'
			FROM wanted w JOIN claimed c ON c.event_id = w.event
			WHERE o.reference = w.ref AND o.status = 'unpaid'
			RETURNING c.event_id, o.reference AS detail
		)`,
	})
}
