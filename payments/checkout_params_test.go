package payments_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

func TestTexts_DefaultHasOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 4})
	r, err := w.bookings.CreateResource(t.Context(), booking.Resource{
		Slug: "court", Name: "Court", TimeZone: "Europe/Paris", Capacity: 4, SlotLength: time.Hour,
		Price:  booking.Money{Minor: price, Currency: "eur"},
		Offers: []booking.Offer{{Slug: "lesson", Name: "Lesson", Price: booking.Money{Minor: 4000}}},
	})
	require.NoError(t, err)
	for offer, want := range map[string]string{"": "Court", "lesson": "Court, Lesson"} {
		booked := w.book(booking.HoldRequest{Resource: r.ID, Offer: offer, Start: slot(0), Party: 2, Customer: ada})
		s, err := w.stripe.Session(booked.SessionID)
		require.NoError(t, err)
		require.Equal(t, want, s.LineItems[0].Name)
		require.Contains(t, s.LineItems[0].Description, ", 2 people, booking "+booked.Booking.Number)
		require.Equal(t, "Booking "+booked.Booking.Number, s.Parameters.Get("payment_intent_data[description]"))
		require.Equal(t, "inclusive", s.Parameters.Get("line_items[0][price_data][tax_behavior]"))
		require.Empty(t, s.Parameters.Get("locale"))
		require.EqualValues(t, booked.Booking.Amount.Minor, s.AmountTotal)
	}
}

func TestTexts_AndPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{
		SuccessPath: "/merci?shop=1", CancelPath: "/annule",
		Texts: func(_ context.Context, b booking.Booking, r booking.Resource) payments.Texts {
			require.Empty(t, b.OwnerToken)
			return payments.Texts{Name: r.Name + " à Paris", Description: "mardi", Submit: "Annulation gratuite.",
				Locale: "fr"}
		},
	}})
	booked := w.book(w.request(0))
	s, err := w.stripe.Session(booked.SessionID)
	require.NoError(t, err)
	require.Equal(t, "Room à Paris", s.LineItems[0].Name)
	require.Equal(t, "mardi", s.LineItems[0].Description)
	require.Equal(t, "Annulation gratuite.", s.Parameters.Get("custom_text[submit][message]"))
	require.Equal(t, "fr", s.Parameters.Get("locale"))
	require.Equal(t, appURL+"/merci?shop=1&session_id={CHECKOUT_SESSION_ID}", s.SuccessURL)
	require.Equal(t, appURL+"/annule?booking="+booked.Booking.ID+"&session_id={CHECKOUT_SESSION_ID}", s.CancelURL)
	require.Equal(t, appURL+"/merci?shop=1&booking=b&token=t", w.payments.BookingURL("b", "t"))
	w.pay(payments.Checkout{SessionID: booked.SessionID})
	require.Equal(t, booking.StatusConfirmed, w.status(booked.Booking.ID))

	for _, path := range []string{"success", "https://other.example/", "/a#b", "/{CHECKOUT_SESSION_ID}", "/%zz"} {
		_, err := payments.New(w.db, w.bookings, secretKey, appURL, payments.Options{SuccessPath: path})
		require.Error(t, err, path)
	}
}

func TestTexts_TooLongIsRefusedAndFreesTheSlot(t *testing.T) {
	t.Parallel()
	submit := strings.Repeat("é", 1201)
	w := newWorld(t, setup{opts: payments.Options{
		Texts: func(context.Context, booking.Booking, booking.Resource) payments.Texts {
			return payments.Texts{Submit: submit}
		},
	}})
	_, err := w.payments.Book(t.Context(), w.request(0))
	require.ErrorIs(t, err, payments.ErrParameter)
	require.ErrorContains(t, err, "custom_text[submit][message]")
	submit = submit[:2*1200]
	w.book(w.request(0))
}

// Another replica sends the stored parameters, though its own options differ.
func TestCheckout_RepeatSendsTheStoredBytes(t *testing.T) {
	t.Parallel()
	sent := &bodies{fail: 2}
	w := newWorld(t, setup{wrap: sent.wrap})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	w.payments, err = payments.New(w.db, w.bookings, secretKey, "https://other.example", payments.Options{
		BaseURL: w.api, SuccessPath: "/done", Texts: func(context.Context, booking.Booking, booking.Resource) payments.Texts {
			return payments.Texts{Name: "Other", Locale: "de"}
		}})
	require.NoError(t, err)
	w.checkout(b)
	require.Len(t, sent.all(), 3)
	require.Equal(t, sent.all()[0], sent.all()[2])
	require.Contains(t, sent.all()[0].body, "customer_email=ada%40example.com")
}
