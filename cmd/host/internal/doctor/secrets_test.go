package doctor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// M3.
func TestExamine_SecretUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const first, second, third = "kXk6V0lHq2B8ZtqC0yq3n0Wm5m5d1fJr7uYb9sPzE4A=",
		"Qm9vay1hLXJvb20tb2YtdGhlLXN0dWRpby10b2RheQ==", "V2hvLXJlYWRzLXRoaXMtd2lsbC1maW5kLW5vdGhpbmc="
	old := w.owners(second)
	var ids []string
	for i := range 3 {
		b, err := old.Hold(t.Context(), booking.HoldRequest{
			Resource: "room", Start: time.Now().UTC().Truncate(time.Hour).AddDate(0, 0, 3+i),
			Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
		})
		require.NoError(t, err)
		ids = append(ids, b.ID)
	}
	_, err := old.CreateFeed(t.Context(), "room")
	require.NoError(t, err)
	set("SESSION_SECRET", first+","+second+","+third)(w)
	found := whole(w.examine())
	require.Regexp(t, `ok secret-use: secret [0-9a-f]{12} \(number 1 of SESSION_SECRET, which makes new links\): 0 coming bookings and 0 calendar feeds`, found)
	require.Regexp(t, `ok secret-use: secret [0-9a-f]{12} \(number 2 of SESSION_SECRET\): 3 coming bookings and 1 calendar feed depend on it, keep it`, found)
	require.Regexp(t, `ok secret-use: secret [0-9a-f]{12} \(number 3 of SESSION_SECRET\): nothing depends on it, it can be taken out`, found)

	current := w.owners(first, second)
	_, err = current.RenewOwnerToken(t.Context(), ids[0])
	require.NoError(t, err)
	set("SESSION_SECRET", first)(w)
	findings := w.examine()
	require.Equal(t, []string{"warning secret-gone"}, amiss(findings))
	require.Contains(t, whole(findings), "the links of 2 coming bookings and 1 calendar feed are dead")

	_, err = w.owners(first).RenewOwnerTokens(t.Context(), booking.RenewRequest{})
	require.NoError(t, err)
	_, err = current.DeleteFeeds(t.Context(), "room")
	require.NoError(t, err)
	set("SESSION_SECRET", first+","+second)(w)
	findings = w.examine()
	require.Empty(t, amiss(findings), whole(findings))
	require.Contains(t, whole(findings), "3 coming bookings and 0 calendar feeds")
	require.Contains(t, whole(findings), "nothing depends on it")
}
