package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// The text of an error is never sent, whether the error is wrapped or not.
func TestErrorOf_EachErrorHasACode(t *testing.T) {
	t.Parallel()
	for _, w := range []struct {
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{&booking.ValidationError{Fields: map[string]string{"start": "is required"}}, 400, "validation_failed", ""},
		{&booking.StatusError{ID: "secret", Status: booking.StatusNoShow, Op: "cancel"}, 409, "status_no_show", ""},
		{booking.ErrSlotTaken, 409, "slot_taken", ""},
		{&booking.ConflictError{Bookings: make([]booking.Booking, 2)}, 409, "slot_taken", ""},
		{booking.ErrSlotGone, 409, "slot_gone", ""},
		{booking.ErrHoldExpired, 409, "hold_expired", ""},
		{booking.ErrPolicy, 409, "not_allowed_by_policy", ""},
		{booking.ErrNotFound, 404, "not_found", ""},
		{booking.ErrNoSlot, 404, "no_slot", ""},
		{booking.ErrIdempotencyMismatch, 422, "idempotency_mismatch", ""},
		{&booking.HoldLimitError{Scope: "email", Limit: 3, Until: time.Now().Add(-time.Hour)}, 429, "too_many_holds",
			"1"},
		{&booking.HoldLimitError{Scope: "client", Limit: 3, Until: time.Now().AddDate(0, 0, 7)}, 429, "too_many_holds",
			"3600"},
		{&booking.CapacityError{Capacity: 1, Sold: 2}, 409, "capacity_too_small", ""},
		{payments.ErrUnavailable, 503, "payment_unavailable", "5"},
		{payments.ErrRefused, 503, "payment_refused", ""},
		{payments.ErrNotFound, 404, "not_found", ""},
		{payments.ErrNotPayable, 409, "not_payable", ""},
		{context.DeadlineExceeded, 503, "unavailable", "1"},
		{errors.New("pq: secret"), 503, "unavailable", "1"},
	} {
		for _, err := range []error{w.err, fmt.Errorf("booking: secret: %w", w.err)} {
			rec := httptest.NewRecorder()
			e, known := api.ErrorOf(err)
			require.Equal(t, w.code != "unavailable", known)
			e.Write(rec)
			require.Equal(t, w.status, rec.Code, "%v", err)
			require.Equal(t, w.retryAfter, rec.Header().Get("Retry-After"), "%v", err)
			require.NotContains(t, rec.Body.String(), "secret")
			var answer struct {
				Error  string
				Fields map[string]string
			}
			require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &answer))
			require.Equal(t, w.code, answer.Error, "%v", err)
			require.Equal(t, w.status == 400, answer.Fields != nil, "%v", err)
		}
	}
}
