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

// errNotFound does not tell a booking that does not exist from another customer's.
var errNotFound = errors.New("not found")

const paymentRefused = "This cannot be paid online at the moment, and trying again will not help. " +
	"Nothing was charged and nothing is booked. Please contact us."

// errorCodes maps errors to answers; the first match counts.
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
	{payments.ErrUnavailable, http.StatusServiceUnavailable, "payment_unavailable"},
}

// writeError answers with the code of err. The text of err is never sent, except for the
// fields of a validation error. An error without a code is logged.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var invalid *booking.ValidationError
	var status *booking.StatusError
	var holds *booking.HoldLimitError
	var rate *payments.RateLimitError
	var capacity *booking.CapacityError
	switch {
	case errors.As(err, &invalid):
		a.writeProblem(w, r, http.StatusBadRequest, problem{Error: "validation_failed", Fields: invalid.Fields})
		return
	case errors.As(err, &status):
		a.writeCode(w, r, http.StatusConflict, "status_"+string(status.Status))
		return
	case errors.As(err, &holds):
		w.Header().Set("Retry-After", strconv.Itoa(int(holds.RetryAfter(time.Now())/time.Second)))
		a.writeCode(w, r, http.StatusTooManyRequests, "too_many_holds")
		return
	case errors.As(err, &rate):
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		a.writeCode(w, r, http.StatusTooManyRequests, "too_many_bookings")
		return
	case errors.As(err, &capacity):
		a.writeCode(w, r, http.StatusConflict, "capacity_too_small")
		return
	case errors.Is(err, payments.ErrRefused):
		// No Retry-After: Stripe would refuse again.
		a.writeProblem(w, r, http.StatusServiceUnavailable, problem{Error: "payment_refused", Message: paymentRefused})
		return
	case errors.Is(err, payments.ErrUnavailable):
		w.Header().Set("Retry-After", strconv.Itoa(max(5, int(payments.RetryAfter(err)/time.Second))))
	}
	for _, c := range errorCodes {
		if errors.Is(err, c.err) {
			a.writeCode(w, r, c.status, c.code)
			return
		}
	}
	// Anything else is a database error or a timeout; the client can only retry.
	a.log(r.Context(), err)
	w.Header().Set("Retry-After", "1")
	a.writeCode(w, r, http.StatusServiceUnavailable, "unavailable")
}

func (a *API) log(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		a.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "client closed the request")
		return
	}
	a.opts.Logger.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("error", err.Error()),
		slog.String("sqlstate", pg.SQLState(err)))
}

// problem is the body of every error.
type problem struct {
	Error     string            `json:"error"`
	RequestID string            `json:"requestId"`
	Fields    map[string]string `json:"fields,omitempty"`
	Message   string            `json:"message,omitempty"`
}

func (a *API) writeCode(w http.ResponseWriter, r *http.Request, status int, code string) {
	a.writeProblem(w, r, status, problem{Error: code})
}

func (a *API) writeProblem(w http.ResponseWriter, r *http.Request, status int, p problem) {
	p.RequestID = a.opts.RequestID(r.Context())
	writeJSON(w, status, p)
}
