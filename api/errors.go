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

// errNotFound hides whether a thing does not exist or is not the asker's.
var errNotFound = errors.New("not found")

// paymentRefused is the message of payments.ErrRefused.
const paymentRefused = "This cannot be paid online at the moment, and trying again will not help. " +
	"Nothing was charged and nothing is booked. Please contact us."

// known maps errors to answers; the first that matches counts.
var known = []struct {
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

// fail answers with what an error is to a client. Nothing of its text leaves the host
// unless it names the client's own fields; what the host is to blame for is logged.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		a.writeError(w, r, http.StatusBadRequest, "validation_failed", invalid.Fields)
		return
	}
	var settled *booking.StatusError
	if errors.As(err, &settled) {
		a.writeError(w, r, http.StatusConflict, "status_"+string(settled.Status), nil)
		return
	}
	var limit *booking.HoldLimitError
	if errors.As(err, &limit) {
		w.Header().Set("Retry-After", strconv.Itoa(int(limit.RetryAfter(time.Now())/time.Second)))
		a.writeError(w, r, http.StatusTooManyRequests, "too_many_holds", nil)
		return
	}
	var rate *payments.RateLimitError
	if errors.As(err, &rate) {
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		a.writeError(w, r, http.StatusTooManyRequests, "too_many_bookings", nil)
		return
	}
	var capacity *booking.CapacityError
	if errors.As(err, &capacity) {
		a.writeError(w, r, http.StatusConflict, "capacity_too_small", nil)
		return
	}
	if errors.Is(err, payments.ErrRefused) {
		// No Retry-After: it would be refused again.
		a.writeProblem(w, r, http.StatusServiceUnavailable, problem{Error: "payment_refused", Message: paymentRefused})
		return
	}
	if errors.Is(err, payments.ErrUnavailable) {
		w.Header().Set("Retry-After", strconv.Itoa(max(5, int(payments.RetryAfter(err)/time.Second))))
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			a.writeError(w, r, k.status, k.code, nil)
			return
		}
	}
	// What is left is the database's, or a limit of time: nothing that the client could
	// mend.
	a.log(r.Context(), err)
	w.Header().Set("Retry-After", "1")
	a.writeError(w, r, http.StatusServiceUnavailable, "unavailable", nil)
}

func (a *API) log(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		// The client hung up, and what it had asked for ended with it.
		a.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "request given up by the client")
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

func (a *API) writeError(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string) {
	a.writeProblem(w, r, status, problem{Error: code, Fields: fields})
}

func (a *API) writeProblem(w http.ResponseWriter, r *http.Request, status int, p problem) {
	p.RequestID = a.opts.RequestID(r.Context())
	writeJSON(w, status, p)
}
