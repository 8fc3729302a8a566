package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// ServeHTTP answers a delivery: 200 when its event is settled, now or before; 400 or 413
// when it is not an event of Stripe's; 405 when it is no POST; 429 when it is none and
// its address has sent too many such; 500 when the database or the handler failed and
// another delivery is wanted. The usual path takes BEGIN, one statement, the handler's
// own, and COMMIT.
//
// It needs the raw body, so nothing may read it before. A slow sender is cut off after
// Options.Timeout where the server's connection can be reached (http.ResponseController);
// behind middleware that hides it, the server's own ReadTimeout must do so.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, `{"error":"method_not_allowed"}`)
		return
	}
	start := time.Now()
	n := &annotations{}
	// Who hangs up does not stop a transaction that is about to commit: the work is
	// bounded by its own limit. What the context carries, the request's id for one,
	// stays.
	ctx := context.WithValue(context.WithoutCancel(req.Context()), annotationsKey{}, n)

	r.counts.counts[countReceived].Add(1)
	d := r.receive(ctx, w, req, n)
	c := responses[result{d.Outcome, d.Reason}]
	d.Status, d.Duration = c.status, time.Since(start)
	r.counts.note(d, c.counter, start.Add(d.Duration))
	r.logDelivery(ctx, c.level, "webhook delivery", d, n)
	if r.opts.Observe != nil {
		r.opts.Observe(ctx, d)
	}
	if d.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((d.retryAfter+time.Second-1)/time.Second)))
	}
	reply(w, c.status, body(d))
}

// receive takes a delivery from its body to its outcome.
func (r *Receiver) receive(ctx context.Context, w http.ResponseWriter, req *http.Request, n *annotations) Delivery {
	payload, err := r.readBody(w, req)
	if err != nil {
		reason := ReasonBodyUnreadable
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			reason = ReasonBodyTooLarge
		}
		return Delivery{Outcome: Rejected, Reason: reason, Bytes: len(payload), Err: err}
	}
	ev, position, err := verify(payload, req.Header.Get("Stripe-Signature"), r.secrets, r.opts.Tolerance, r.opts.Now())
	if rejected := (*RejectedError)(nil); errors.As(err, &rejected) {
		d := Delivery{Outcome: Rejected, Reason: rejected.Reason, Bytes: len(payload)}
		r.limitSignatures(&d, req)
		return d
	}
	v, err := r.process(ctx, ev, n)
	return Delivery{
		Outcome: v.outcome, Reason: v.reason, EventID: ev.ID, EventType: ev.Type, OriginRequestID: ev.RequestID,
		OtherVersion: ev.APIVersion != stripe.APIVersion, Secret: position, Bytes: len(payload), Err: err,
	}
}

// readBody reads the raw body. It grows with what arrives, whatever length was announced,
// so that many slow senders cost little memory.
func (r *Receiver) readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	// net/http takes the deadline back when the body has been read. A writer that hides
	// its connection refuses it; see ServeHTTP.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.opts.Timeout))
	return io.ReadAll(http.MaxBytesReader(w, req.Body, r.opts.MaxBody))
}

// body is what the sender is told: the outcome, or an error's short name, and nothing
// from inside.
func body(d Delivery) string {
	switch d.Outcome {
	case Failed:
		return `{"error":"internal"}`
	case Rejected:
		return `{"error":"` + string(d.Reason) + `"}`
	}
	return `{"received":true,"outcome":"` + string(d.Outcome) + `"}`
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// There is nobody to tell when the sender has gone.
	_, _ = io.WriteString(w, body+"\n")
}
