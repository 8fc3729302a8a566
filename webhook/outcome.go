package webhook

import (
	"database/sql"
	"log/slog"
	"net/http"
)

// Outcome is the result of a delivery. All but Duplicate and Rejected are stored in the
// ledger.
type Outcome string

const (
	// Processed: the handler's changes and the ledger row are committed. Final.
	Processed Outcome = "processed"
	// Duplicate: an earlier delivery settled the event.
	Duplicate Outcome = "duplicate"
	// Ignored: the event is not for this receiver, or this replica has no handler for it.
	// Final, unless the Reason is ReasonNoHandler, ReasonTestMode, ReasonLiveMode or
	// ReasonOtherAccount and another replica has a handler.
	Ignored Outcome = "ignored"
	// Unmatched: no handler found a row for the event. It is retried, and Ignored after
	// Options.UnmatchedFor.
	Unmatched Outcome = "unmatched"
	// Parked: an operator must look at it.
	Parked Outcome = "parked"
	// Failed: the database or the handler failed, without any effect. The next delivery
	// tries again.
	Failed Outcome = "failed"
	// Rejected: the request is not a signed event.
	Rejected Outcome = "rejected"
)

// FromResult returns the outcome of a handler that runs one statement: Processed if it
// affected a row, Unmatched if it affected none. The statement must also affect a row
// that has the new state already.
//
//	const payOrder = `UPDATE orders SET status = 'paid' WHERE reference = $1`
//	return webhook.FromResult(tx.ExecContext(ctx, payOrder, ev.Reference))
func FromResult(res sql.Result, err error) (Outcome, error) {
	if err != nil {
		return "", err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return "", err
	}
	if n == 0 {
		return Unmatched, nil
	}
	return Processed, nil
}

// Reason is why a delivery was Rejected or Ignored.
type Reason string

const (
	// ReasonSignatureMissing: there is no Stripe-Signature header.
	ReasonSignatureMissing Reason = "signature_missing"
	// ReasonSignatureMalformed: the header does not have Stripe's format.
	ReasonSignatureMalformed Reason = "signature_malformed"
	// ReasonSignatureWrong: no signature in the header matches any of the secrets.
	ReasonSignatureWrong Reason = "signature_wrong"
	// ReasonTooOld: a valid signature older than the tolerance: a replay or a slow clock
	// of the sender.
	ReasonTooOld Reason = "timestamp_too_old"
	// ReasonFuture: a valid signature from the future by more than the tolerance: this
	// host's clock is slow.
	ReasonFuture Reason = "timestamp_in_future"
	// ReasonNotAnEvent: a valid signature of something else than an event.
	ReasonNotAnEvent Reason = "not_an_event"
	// ReasonBodyTooLarge: the body exceeds Options.MaxBody.
	ReasonBodyTooLarge Reason = "body_too_large"
	// ReasonBodyUnreadable: the body ended early or did not arrive in time.
	ReasonBodyUnreadable Reason = "body_unreadable"
	// ReasonRateLimited: a bad signature from an address that exceeds
	// Options.MaxBadSignatures.
	ReasonRateLimited Reason = "too_many_bad_signatures"

	// ReasonNoHandler: the replica has no handler for the type.
	ReasonNoHandler Reason = "no_handler"
	// ReasonNotOurs: every handler returned Ignored, or Unmatched for longer than
	// Options.UnmatchedFor.
	ReasonNotOurs Reason = "not_ours"
	// ReasonOperator: [Ledger.Ignore] ended the event.
	ReasonOperator Reason = "operator"
	// ReasonTestMode: a test event, and the receiver has LiveMode.
	ReasonTestMode Reason = "test_mode"
	// ReasonLiveMode: a live event, and the receiver has TestMode.
	ReasonLiveMode Reason = "live_mode"
	// ReasonOtherAccount: an event of a connected account that Options.Accounts does not
	// list.
	ReasonOtherAccount Reason = "other_account"
)

type result struct {
	outcome Outcome
	reason  Reason
}

type response struct {
	status  int
	level   slog.Level
	counter counter
}

// Stripe sends again after every status outside 2xx, so 5xx is for what another delivery
// can fix.
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
