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

// ServeHTTP answers a delivery: 200 if the event is settled or will be retried; 400 or
// 413 if it is not an event from Stripe; 405 if it is not a POST; 429 after too many bad
// signatures; 500 if Stripe should send it again. The usual path takes BEGIN, one
// statement, the handler's statements, and COMMIT.
//
// Nothing may read the body before it. Reading has a deadline of Options.Timeout if
// http.ResponseController can set one; otherwise set the server's ReadTimeout.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, `{"error":"method_not_allowed"}`)
		return
	}
	start := time.Now()
	n := &annotations{}
	// A client that disconnects does not interrupt the transaction.
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

// readBody does not allocate the announced length, so that slow clients cost little
// memory.
func (r *Receiver) readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	// An error means that the writer hides its connection; see ServeHTTP.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.opts.Timeout))
	return io.ReadAll(http.MaxBytesReader(w, req.Body, r.opts.MaxBody))
}

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
	// An error means that the client has gone.
	_, _ = io.WriteString(w, body+"\n")
}
