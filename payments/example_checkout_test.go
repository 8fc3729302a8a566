package payments_test

import (
	"context"
	"database/sql"
	"log"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
)

// shapeTax has Stripe Tax find the tax in the price. The amount stays.
func shapeTax(_ context.Context, _ booking.Booking, params *stripe.CheckoutSessionParams) error {
	params.AutomaticTax = &stripe.CheckoutSessionAutomaticTaxParams{Enabled: stripe.Bool(true)}
	params.TaxIDCollection = &stripe.CheckoutSessionTaxIDCollectionParams{Enabled: stripe.Bool(true)}
	params.LineItems[0].PriceData.ProductData.TaxCode = stripe.String("txcd_20030000")
	return nil
}

// shapeInvoice has Stripe mail an invoice after the payment.
func shapeInvoice(_ context.Context, b booking.Booking, params *stripe.CheckoutSessionParams) error {
	params.CustomerCreation = stripe.String("always")
	params.InvoiceCreation = &stripe.CheckoutSessionInvoiceCreationParams{
		Enabled: stripe.Bool(true),
		InvoiceData: &stripe.CheckoutSessionInvoiceCreationInvoiceDataParams{
			Footer:   stripe.String("Thank you for your booking."),
			Metadata: map[string]string{"order": b.Reference},
		},
	}
	return nil
}

// shapeDestination gives the money to a connected account and keeps 2.00. A refund takes
// both back in proportion.
func shapeDestination(_ context.Context, _ booking.Booking, params *stripe.CheckoutSessionParams) error {
	params.PaymentIntentData.OnBehalfOf = stripe.String("acct_1032D82eZvKYlo2C")
	params.PaymentIntentData.TransferData = &stripe.CheckoutSessionPaymentIntentDataTransferDataParams{
		Destination: stripe.String("acct_1032D82eZvKYlo2C"),
	}
	params.PaymentIntentData.ApplicationFeeAmount = stripe.Int64(200)
	return nil
}

// Taxes that are in the price, texts in the customer's language, and the service's own
// paths.
func ExamplePayments_Checkout_shape() {
	var db *sql.DB
	var bookings *booking.Store
	pay, err := payments.New(db, bookings, "sk_test_…", "https://example.com", payments.Options{
		SuccessPath: "/merci",
		CancelPath:  "/panier",
		Texts: func(_ context.Context, b booking.Booking, r booking.Resource) payments.Texts {
			return payments.Texts{
				Name:   r.Name + ", " + b.Metadata["coach"],
				Submit: "Annulation gratuite jusqu'à la veille.",
				Locale: "fr",
			}
		},
		ShapeCheckout: shapeTax,
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = pay
}

func TestExampleShape_AcceptedByStripe(t *testing.T) {
	t.Parallel()
	mock := stripemock.Start(t)
	for name, f := range map[string]shapeFunc{
		"tax": shapeTax, "invoice": shapeInvoice, "destination": shapeDestination,
		"customer": func(_ context.Context, _ booking.Booking, p *stripe.CheckoutSessionParams) error {
			p.Customer = stripe.String("cus_1")
			p.PaymentIntentData.SetupFutureUsage = stripe.String("off_session")
			p.PaymentMethodTypes = stripe.StringSlice([]string{"card", "sepa_debit"})
			p.AddExtra("adaptive_pricing[enabled]", "false")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			bookings, err := booking.New(db, booking.Options{})
			require.NoError(t, err)
			w := &world{t: t, db: db, bookings: bookings}
			w.payments, err = payments.New(db, bookings, secretKey, appURL, payments.Options{BaseURL: mock,
				ShapeCheckout: f, Texts: func(context.Context, booking.Booking, booking.Resource) payments.Texts {
					return payments.Texts{Submit: "No refund.", Locale: "de"}
				}})
			require.NoError(t, err)
			w.resource = w.newResource("room", price, 1)
			require.NotEmpty(t, w.checkout(w.hold(0)).SessionID)
		})
	}
	for name, f := range map[string]shapeFunc{"invoice": shapeInvoice, "destination": shapeDestination} {
		t.Run(name+" at the stand-in", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{opts: payments.Options{ShapeCheckout: f}})
			b := w.hold(0)
			w.pay(w.checkout(b))
			require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
		})
	}
}
