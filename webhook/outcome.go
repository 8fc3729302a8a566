package webhook

import (
	"log/slog"
	"net/http"
)

// Outcome says what became of a delivery. All but Duplicate and Rejected are also what a
// ledger row can say.
type Outcome string

const (
	// Processed means that the handler's effect and the ledger row are committed. It is
	// final.
	Processed Outcome = "processed"
	// Duplicate means that an earlier delivery settled the event. It is never stored.
	Duplicate Outcome = "duplicate"
	// Ignored means that the event is not this receiver's, or that this replica has no
	// handler for it; the Reason says which. Stripe does not send it again. With
	// ReasonNoHandler, ReasonTestMode, ReasonLiveMode and ReasonOtherAccount a replica of
	// the same name that has a handler for the event still takes it up; with the others
	// it is final.
	Ignored Outcome = "ignored"
	// Unmatched means that the handler found no row the event is about. It is handled
	// again, by a later delivery or [Receiver.RetryWaiting], and is Ignored after
	// Options.UnmatchedFor.
	Unmatched Outcome = "unmatched"
	// Parked means that a person must look at it. It is final as far as Stripe's
	// deliveries go.
	Parked Outcome = "parked"
	// Failed means that the database or the handler failed: nothing of that attempt took
	// effect, and the next delivery does the work.
	Failed Outcome = "failed"
	// Rejected means that what arrived is not a signed event. It is never stored.
	Rejected Outcome = "rejected"
)

// Reason says why a delivery was rejected or ignored.
type Reason string

const (
	// ReasonSignatureMissing means that there is no Stripe-Signature header.
	ReasonSignatureMissing Reason = "signature_missing"
	// ReasonSignatureMalformed means that the header is not in Stripe's form.
	ReasonSignatureMalformed Reason = "signature_malformed"
	// ReasonSignatureWrong means that no signature in the header was made with one of the
	// secrets.
	ReasonSignatureWrong Reason = "signature_wrong"
	// ReasonTooOld means that a good signature is older than the tolerance: a replay, or
	// a slow clock at the sender.
	ReasonTooOld Reason = "timestamp_too_old"
	// ReasonFuture means that a good signature is from the future by more than the
	// tolerance: this host's clock is late.
	ReasonFuture Reason = "timestamp_in_future"
	// ReasonNotAnEvent means that a good signature covers something that is not a Stripe
	// event.
	ReasonNotAnEvent Reason = "not_an_event"
	// ReasonBodyTooLarge means that the body is larger than Options.MaxBody.
	ReasonBodyTooLarge Reason = "body_too_large"
	// ReasonBodyUnreadable means that the body ended early, or did not arrive in time.
	ReasonBodyUnreadable Reason = "body_unreadable"
	// ReasonRateLimited stands for one of the three reasons of a bad signature,
	// where the address has sent too many of those: see Options.MaxBadSignatures.
	ReasonRateLimited Reason = "too_many_bad_signatures"

	// ReasonNoHandler means that an event was ignored because the replica that received
	// it has no handler for its type.
	ReasonNoHandler Reason = "no_handler"
	// ReasonNotOurs means that a handler returned Ignored, or Unmatched for longer than
	// Options.UnmatchedFor: the event is about another program's objects.
	ReasonNotOurs Reason = "not_ours"
	// ReasonOperator means that [Ignore] ended the event.
	ReasonOperator Reason = "operator"
	// ReasonTestMode means that an event of Stripe's test mode was ignored, because the
	// receiver is for live ones.
	ReasonTestMode Reason = "test_mode"
	// ReasonLiveMode means that a live event was ignored, because the receiver is for
	// test mode.
	ReasonLiveMode Reason = "live_mode"
	// ReasonOtherAccount means that an event of a connected account was ignored that
	// Options.Accounts does not list.
	ReasonOtherAccount Reason = "other_account"
)

// result is what a delivery came to: an outcome, and a reason with Rejected and Ignored.
type result struct {
	outcome Outcome
	reason  Reason
}

// response is what follows from a result.
type response struct {
	status  int
	level   slog.Level
	counter counter
}

// responses is the one place that maps what happened to its status, log level and
// counter. Stripe sends again after everything outside 2xx, so 5xx is kept for what
// another delivery can heal.
var responses = map[result]response{
	{outcome: Processed}: {http.StatusOK, slog.LevelInfo, countProcessed},
	{outcome: Duplicate}: {http.StatusOK, slog.LevelInfo, countDuplicates},
	{outcome: Unmatched}: {http.StatusOK, slog.LevelWarn, countUnmatched},
	{outcome: Parked}:    {http.StatusOK, slog.LevelWarn, countParked},
	{outcome: Failed}:    {http.StatusInternalServerError, slog.LevelError, countErrors},

	{Ignored, ReasonNoHandler}:    {http.StatusOK, slog.LevelInfo, countNoHandler},
	{Ignored, ReasonNotOurs}:      {http.StatusOK, slog.LevelInfo, countNotOurs},
	{Ignored, ReasonTestMode}:     {http.StatusOK, slog.LevelWarn, countTestMode},
	{Ignored, ReasonLiveMode}:     {http.StatusOK, slog.LevelWarn, countLiveMode},
	{Ignored, ReasonOtherAccount}: {http.StatusOK, slog.LevelWarn, countOtherAccount},

	{Rejected, ReasonSignatureMissing}:   {http.StatusBadRequest, slog.LevelWarn, countSignatureMissing},
	{Rejected, ReasonSignatureMalformed}: {http.StatusBadRequest, slog.LevelWarn, countSignatureMalformed},
	{Rejected, ReasonSignatureWrong}:     {http.StatusBadRequest, slog.LevelWarn, countSignatureWrong},
	{Rejected, ReasonTooOld}:             {http.StatusBadRequest, slog.LevelWarn, countTooOld},
	{Rejected, ReasonFuture}:             {http.StatusBadRequest, slog.LevelWarn, countFuture},
	{Rejected, ReasonNotAnEvent}:         {http.StatusBadRequest, slog.LevelWarn, countNotAnEvent},
	{Rejected, ReasonBodyUnreadable}:     {http.StatusBadRequest, slog.LevelWarn, countBodyUnreadable},
	{Rejected, ReasonBodyTooLarge}:       {http.StatusRequestEntityTooLarge, slog.LevelWarn, countBodyTooLarge},
	{Rejected, ReasonRateLimited}:        {http.StatusTooManyRequests, slog.LevelWarn, countRateLimited},
}
