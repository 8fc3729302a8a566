package notify_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/notify"
)

// queue hands mails to a queue of the embedder's, from which another program sends them.
type queue struct {
	publish func(ctx context.Context, id string, body []byte) error
}

// Send returns nil once the queue has the mail: from then on it is the queue's to send. The
// queue drops a second mail with the same MessageID.
func (q queue) Send(ctx context.Context, m notify.Mail) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("%w: %w", notify.ErrRefused, err)
	}
	if err := q.publish(ctx, m.MessageID, body); err != nil {
		return fmt.Errorf("%w: publish", notify.ErrUnavailable)
	}
	return nil
}

// An embedder's own Sender, here a queue.
func ExampleSender() {
	var db *sql.DB
	sender := queue{publish: func(context.Context, string, []byte) error { return nil }}
	outbox, err := notify.New(db, notify.Options{Sender: sender, Domain: "shop.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = outbox.Run(context.Background()) }()
}

// An embedder's own kind of message: a request for a review, three days after an order was
// delivered. It is enqueued with the delivery, and dropped if the order was sent back.
func ExampleStore_Enqueue() {
	var db *sql.DB
	ctx := context.Background()
	orders := func(context.Context, string) (email, state string, err error) { return "", "", nil }
	outbox, err := notify.New(db, notify.Options{Kinds: map[string]notify.Kind{
		"order.review": {Compose: func(ctx context.Context, m notify.Message) (notify.Mail, error) {
			email, state, err := orders(ctx, m.Reference)
			if err != nil {
				return notify.Mail{}, err
			}
			if state != "delivered" {
				return notify.Mail{}, notify.Drop(state)
			}
			return notify.Mail{To: email, Subject: "How was it?", Text: "Tell us: https://shop.example/review"}, nil
		}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	deliver := func(tx *sql.Tx, order string) error {
		if _, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'delivered' WHERE id = $1`, order); err != nil {
			return err
		}
		_, err := outbox.Enqueue(ctx, tx, notify.Draft{Kind: "order.review", Reference: order,
			DueAt: time.Now().Add(72 * time.Hour)})
		return err
	}
	_ = deliver
}
