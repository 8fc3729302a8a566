package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/payments"
)

// Error is every error answer. It never has the text of the error that it was made of.
type Error struct {
	// Status is the HTTP status.
	Status int `json:"-"`
	// RetryAfter is a header, in whole seconds; 0 sends none.
	RetryAfter time.Duration `json:"-"`
	// Code is one of docs/api.md.
	Code      string `json:"error"`
	RequestID string `json:"requestId"`
	// Fields are a validation error's problems.
	Fields map[string]string `json:"fields,omitempty"`
	// Message is a sentence for the customer; with payment_refused only.
	Message string `json:"message,omitempty"`
}

// Write sends the answer.
func (e Error) Write(w http.ResponseWriter) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter/time.Second)))
	}
	writeJSON(w, e.Status, e)
}

// errNotFound is a booking that does not exist, or another customer's.
var errNotFound = errors.New("not found")

const paymentRefused = "This cannot be paid online at the moment, and trying again will not help. " +
	"Nothing was charged and nothing is booked. Please contact us."

// The first match counts.
var errorCodes = []struct {
	err    error
	status int
	code   string
}{
	{errNotFound, http.StatusNotFound, "not_found"},
	{errMediaType, http.StatusUnsupportedMediaType, "unsupported_media_type"},
	{errTooLarge, http.StatusRequestEntityTooLarge, "body_too_large"},
	{errBody, http.StatusBadRequest, "invalid_body"},
	{booking.ErrSlotTaken, http.StatusConflict, "slot_taken"},
	{booking.ErrSlotGone, http.StatusConflict, "slot_gone"},
	{booking.ErrPolicy, http.StatusConflict, "not_allowed_by_policy"},
	{booking.ErrNoSlot, http.StatusNotFound, "no_slot"},
	{booking.ErrHoldExpired, http.StatusConflict, "hold_expired"},
	{booking.ErrIdempotencyMismatch, http.StatusUnprocessableEntity, "idempotency_mismatch"},
	{booking.ErrNotFound, http.StatusNotFound, "not_found"},
	{payments.ErrNotPayable, http.StatusConflict, "not_payable"},
	{payments.ErrNotFound, http.StatusNotFound, "not_found"},
}

// ErrorOf returns the answer to an error of booking or payments, wrapped or not, without
// a RequestID. For any other, such as a database error or a timeout, known is false and
// the answer 503 unavailable: log the error.
func ErrorOf(err error) (e Error, known bool) {
	var invalid *booking.ValidationError
	var status *booking.StatusError
	var holds *booking.HoldLimitError
	var rate *payments.RateLimitError
	var capacity *booking.CapacityError
	switch {
	case errors.As(err, &invalid):
		e = errorWith(http.StatusBadRequest, "validation_failed")
		e.Fields = invalid.Fields
		return e, true
	case errors.As(err, &status):
		return errorWith(http.StatusConflict, "status_"+string(status.Status)), true
	case errors.As(err, &holds):
		e = errorWith(http.StatusTooManyRequests, "too_many_holds")
		e.RetryAfter = holds.RetryAfter(time.Now())
		return e, true
	case errors.As(err, &rate):
		e = errorWith(http.StatusTooManyRequests, "too_many_bookings")
		e.RetryAfter = time.Duration(rate.Seconds()) * time.Second
		return e, true
	case errors.As(err, &capacity):
		return errorWith(http.StatusConflict, "capacity_too_small"), true
	case errors.Is(err, payments.ErrRefused):
		// No RetryAfter: Stripe would refuse again.
		e = errorWith(http.StatusServiceUnavailable, "payment_refused")
		e.Message = paymentRefused
		return e, true
	case errors.Is(err, payments.ErrUnavailable):
		e = errorWith(http.StatusServiceUnavailable, "payment_unavailable")
		e.RetryAfter = max(5*time.Second, payments.RetryAfter(err))
		return e, true
	}
	for _, c := range errorCodes {
		if errors.Is(err, c.err) {
			return errorWith(c.status, c.code), true
		}
	}
	e = errorWith(http.StatusServiceUnavailable, "unavailable")
	e.RetryAfter = time.Second
	return e, false
}

func errorWith(status int, code string) Error { return Error{Status: status, Code: code} }

// writeError logs an error without a code.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e, known := ErrorOf(err)
	if !known {
		a.log(r.Context(), err)
	}
	a.write(w, r, e)
}

func (a *API) write(w http.ResponseWriter, r *http.Request, e Error) {
	e.RequestID = a.opts.RequestID(r.Context())
	e.Write(w)
}

func (a *API) log(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		a.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "client closed the request")
		return
	}
	a.opts.Logger.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("error", err.Error()),
		slog.String("sqlstate", pg.SQLState(err)))
}
