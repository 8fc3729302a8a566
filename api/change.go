package api

import (
	"errors"
	"net/http"

	"github.com/booking-platform/booking-platform/booking"
)

// cancel ends a booking: by its owner under its policy, by ADMIN or OPS freely. What is
// to go back of the money goes back by itself. The body, which may be left out, says why.
func (a *API) cancel(w http.ResponseWriter, r *http.Request, of asked) {
	b, err := readOptionalBody(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	req := booking.CancelRequest{ID: of.booking.ID, ByCustomer: of.byOwner, Reason: b.text("reason")}
	b.end()
	if len(b.problems) > 0 {
		// No booking has this id: what else is wrong is told, and nothing done.
		req.ID = ""
		_, err := a.opts.Bookings.Cancel(r.Context(), req)
		a.fail(w, r, b.together(err))
		return
	}
	cancelled, err := a.opts.Payments.Cancel(r.Context(), req)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, cancelled)
}

// rescheduledView is a booking at its new time.
type rescheduledView struct {
	bookingView
	// Difference is what the new time costs today less what the booking costs, which
	// stays: it is stated, and not charged.
	Difference int64 `json:"difference"`
}

// reschedule gives a booking another time: by its owner under its policy, by ADMIN or OPS
// freely. The slot is taken and the old one freed in one step, or nothing changes.
func (a *API) reschedule(w http.ResponseWriter, r *http.Request, of asked) {
	b, err := readBody(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wish := booking.HoldRequest{Resource: of.booking.ResourceID}
	if err := a.readStart(r.Context(), b, &wish); err != nil {
		a.fail(w, r, err)
		return
	}
	req := booking.RescheduleRequest{ID: of.booking.ID, Start: wish.Start, ByCustomer: of.byOwner,
		Reason: b.text("reason")}
	b.end()
	if len(b.problems) > 0 {
		req.ID = ""
		_, err := a.opts.Bookings.Reschedule(r.Context(), req)
		a.fail(w, r, b.together(err))
		return
	}
	if req.ByCustomer {
		if err := a.opts.AdmitMove(r.Context()); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	moved, err := a.opts.Bookings.Reschedule(r.Context(), req)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	v, err := a.whole(r.Context(), moved.Booking)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, rescheduledView{v, moved.Difference.Minor})
}

// together is the error of a body with problems, joined with those that booking has found
// in the rest. A field that could not be read is told as such.
func (b *body) together(err error) error {
	var more *booking.ValidationError
	switch {
	case errors.As(err, &more):
		if b.problems["date"] != "" || b.problems["time"] != "" {
			// These stand in place of start, which is missing because of them.
			delete(more.Fields, "start")
		}
	case errors.Is(err, booking.ErrNotFound):
		err = nil
	}
	return booking.WithProblems(err, b.problems)
}
