package bookingmail_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"text/template"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/bookingmail"
	"github.com/booking-platform/booking-platform/payments"
)

var confirmation = template.Must(template.New("confirmation").Parse(
	`See you on {{(.Booking.Start.In .Zone).Format "2 January"}}! Change or cancel: {{.Link}}`))

// Own templates for one topic; the others have the texts of this package. The content has
// been read, and the mail is not sent if it is no longer true.
func ExampleOptions() {
	var (
		db       *sql.DB
		bookings *booking.Store
		pay      *payments.Payments
		sender   notify.Sender
	)
	mailer, err := bookingmail.New(bookingmail.Options{
		Bookings: bookings, Payments: pay, BookingURL: pay.BookingURL,
		Domain: "studio.example", From: "hello@studio.example", FromName: "Studio",
		Owners: []string{"owner@studio.example"},
		Render: func(_ context.Context, c bookingmail.Content) (notify.Mail, error) {
			m, err := bookingmail.Render(c)
			if err != nil || c.ToOwner || c.Topic != bookingmail.TopicConfirmed {
				return m, err
			}
			var text bytes.Buffer
			if err := confirmation.Execute(&text, c); err != nil {
				return m, err
			}
			m.Text, m.HTML = text.String(), ""
			return m, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	kinds := mailer.Kinds()
	kinds["newsletter"] = notify.Kind{Compose: func(_ context.Context, m notify.Message) (notify.Mail, error) {
		return notify.Mail{To: m.Recipient, Subject: "News", Text: "There is a new room."}, nil
	}}
	outbox, err := notify.New(db, notify.Options{Sender: sender, Domain: "studio.example", Kinds: kinds})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = outbox.Run(context.Background()) }()
}
