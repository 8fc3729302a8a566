package booking

import (
	"context"
	"strings"
	"unicode"

	"github.com/booking-platform/booking-platform/internal/valid"
)

type actorKey struct{}

// maxActor bounds what is kept of an actor, in characters.
const maxActor = 200

// WithActor says who acts in the calls that are given the context: "customer",
// "user:ada@example.com", "stripe:evt_123". It is written beside each change in the
// booking's history, cut off after 200 characters, and control characters and those that
// hide or reorder text are left out. Without it the actor is empty.
func WithActor(ctx context.Context, actor string) context.Context {
	kept := []rune(valid.WithoutHidden(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, actor)))
	return context.WithValue(ctx, actorKey{}, string(kept[:min(len(kept), maxActor)]))
}

// Actor returns who acts in a context, as [WithActor] said; "" where nobody was named. It
// is for who names an actor only where the caller has not.
func Actor(ctx context.Context) string { return actorOf(ctx) }

func actorOf(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}
