package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// secretUse says what depends on each session secret, so that an old one is taken out
// with proof, and what depended on one that is gone.
func (e *examination) secretUse(ctx context.Context) ([]Finding, error) {
	if e.wrong("SESSION_SECRET") {
		return nil, nil
	}
	secrets := e.Config.SessionSecrets
	if len(secrets) == 0 {
		kept, err := config.KeptSessionSecret(e.Config.DataDir)
		if errors.Is(err, fs.ErrNotExist) {
			return []Finding{ok(SecretUse, "not examined: SESSION_SECRET is not set, and none is kept in DATA_DIR")},
				nil
		}
		if err != nil {
			return nil, err
		}
		secrets = []string{kept}
	}
	owners, err := booking.DeriveOwnerSecrets(secrets)
	if err != nil {
		return nil, err
	}
	bookings, err := booking.New(e.DB, booking.Options{OwnerSecrets: owners})
	if err != nil {
		return nil, err
	}
	all, err := bookings.SecretUse(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	var gone []string
	var links, feeds int
	for _, use := range all {
		depend := fmt.Sprintf("%s and %s", plural(use.Bookings, "coming booking"), plural(use.Feeds, "calendar feed"))
		switch {
		case use.Number == 1:
			found = append(found, ok(SecretUse,
				fmt.Sprintf("secret %s (number 1 of SESSION_SECRET, which makes new links): %s", use.ID, depend)))
		case use.Number > 1 && use.Bookings+use.Feeds == 0:
			found = append(found, ok(SecretUse,
				fmt.Sprintf("secret %s (number %d of SESSION_SECRET): nothing depends on it, it can be taken out",
					use.ID, use.Number)))
		case use.Number > 1:
			found = append(found, ok(SecretUse,
				fmt.Sprintf("secret %s (number %d of SESSION_SECRET): %s depend on it, keep it", use.ID, use.Number,
					depend)))
		case use.ID != "":
			gone = append(gone, use.ID)
			links += use.Bookings
			feeds += use.Feeds
		}
	}
	if len(gone) > 0 {
		const named = 5
		if len(gone) > named {
			gone = append(gone[:named], "…")
		}
		found = append(found, warning(SecretGone,
			fmt.Sprintf("the links of %s and %s are dead: their secret is not in SESSION_SECRET (%s)",
				plural(links, "coming booking"), plural(feeds, "calendar feed"), strings.Join(gone, ", ")),
			"Run: host booking renew-links --links, and send the customers their new links; staff make new feeds. A secret that did not leak may be put back behind the others instead."))
	}
	return found, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
