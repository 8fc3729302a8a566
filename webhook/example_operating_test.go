package webhook_test

import (
	"context"
	"database/sql"
	"log"
	"slices"
	"strings"
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

// The batch handler settles the simple case, orders that are unpaid, each once, and
// updates them in one order everywhere, so that batches do not deadlock.
func ExampleReceiver_HandleBatch() {
	var stripe *webhook.Receiver // With a Handler for the type already, for what is left over.
	stripe.HandleBatch("checkout.session.completed",
		func(ctx context.Context, tx webhook.Tx, events []webhook.BatchEvent) ([]string, error) {
			slices.SortFunc(events, func(a,
				b webhook.BatchEvent) int {
				return strings.Compare(a.Event.Reference, b.Event.Reference)
			})
			var settled []string
			seen := map[string]bool{}
			for _, w := range events {
				if w.Event.PaymentStatus != "paid" || seen[w.Event.Reference] {
					continue
				}
				seen[w.Event.Reference] = true
				res, err := tx.ExecContext(ctx,
					`UPDATE orders SET status = 'paid' WHERE reference = $1 AND status = 'unpaid'`, w.Event.Reference)
				if err != nil {
					return nil, err
				}
				if n, err := res.RowsAffected(); err != nil || n == 0 {
					continue
				}
				settled = append(settled, w.Event.ID)
			}
			return settled, nil
		})
}
