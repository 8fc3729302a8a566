package webhook

import (
	"log/slog"
	"net/http"
)

// Outcome says what became of a delivery. All but Duplicate and Rejected are also what a ledger row can say.
type Outcome string

const (
	// Processed means that the handler's effect and the ledger row are committed. It is final.
	Processed Outcome = "processed"
	// Duplicate means that an earlier delivery settled the event. It is never stored.
	Duplicate Outcome = "duplicate"
	// Ignored means that there is no handler for the event's type. It is final.
	Ignored Outcome = "ignored"
	// Unmatched means that the handler found nothing the event is about. A later delivery is handled anew.
	Unmatched Outcome = "unmatched"
	// Parked means that a person must look at it. It is final as far as Stripe's deliveries go.
	Parked Outcome = "parked"
	// Failed means that the database or the handler failed: nothing of that attempt took effect, and the next delivery does the work.
	Failed Outcome = "failed"
	// Rejected means that what arrived is not a signed event. It is never stored.
	Rejected Outcome = "rejected"
)

// Reason says why a delivery was rejected.
type Reason string

const (
	// ReasonSignatureMissing means that there is no Stripe-Signature header.
	ReasonSignatureMissing Reason = "signature_missing"
	// ReasonSignatureMalformed means that the header is not in Stripe's form.
	ReasonSignatureMalformed Reason = "signature_malformed"
	// ReasonSignatureWrong means that no signature in the header was made with one of the secrets.
	ReasonSignatureWrong Reason = "signature_wrong"
	// ReasonTooOld means that a good signature is older than the tolerance: a replay, or a slow clock at the sender.
	ReasonTooOld Reason = "timestamp_too_old"
	// ReasonFuture means that a good signature is from the future by more than the tolerance: this host's clock is late.
	ReasonFuture Reason = "timestamp_in_future"
	// ReasonNotAnEvent means that a good signature covers something that is not a Stripe event.
	ReasonNotAnEvent Reason = "not_an_event"
	// ReasonBodyTooLarge means that the body is larger than Options.MaxBody.
	ReasonBodyTooLarge Reason = "body_too_large"
	// ReasonBodyUnreadable means that the body ended early, or did not arrive in time.
	ReasonBodyUnreadable Reason = "body_unreadable"
)

// verdict is what a delivery came to: an outcome, and with Rejected a reason.
type verdict struct {
	outcome Outcome
	reason  Reason
}

// consequence is what follows from a verdict.
type consequence struct {
	status  int
	level   slog.Level
	counter counter
}

// consequences is the one place that maps what happened to its status, log level and counter. Stripe sends again
// after everything outside 2xx, so 5xx is kept for what another delivery can heal.
var consequences = map[verdict]consequence{
	{outcome: Processed}: {http.StatusOK, slog.LevelInfo, countProcessed},
	{outcome: Duplicate}: {http.StatusOK, slog.LevelInfo, countDuplicates},
	{outcome: Ignored}:   {http.StatusOK, slog.LevelInfo, countIgnored},
	{outcome: Unmatched}: {http.StatusOK, slog.LevelWarn, countUnmatched},
	{outcome: Parked}:    {http.StatusOK, slog.LevelWarn, countParked},
	{outcome: Failed}:    {http.StatusInternalServerError, slog.LevelError, countErrors},

	{Rejected, ReasonSignatureMissing}:   {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonSignatureMalformed}: {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonSignatureWrong}:     {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonTooOld}:             {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonFuture}:             {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonNotAnEvent}:         {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonBodyUnreadable}:     {http.StatusBadRequest, slog.LevelWarn, countRejected},
	{Rejected, ReasonBodyTooLarge}:       {http.StatusRequestEntityTooLarge, slog.LevelWarn, countRejected},
}
