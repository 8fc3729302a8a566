//go:build browser

package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// browser starts the Chromium of this machine. There is no way to go on without one: whoever runs these tests asks for a browser.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	require.NotEmpty(t, path, "no Chromium is on the PATH, and CHROMIUM does not name one")
	ctx, cancel := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1000),
		// Chromium's sandbox refuses root, and small machines have a small /dev/shm.
		chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true)))
	t.Cleanup(cancel)
	// Whoever comes first starts the browser, which lives as long as this context.
	require.NoError(t, chromedp.Do(ctx))
	// Waits for it to end, so that its folder can go.
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return limited
}

// picture keeps what the browser shows, in the folder that BROWSER_PICTURES names, for somebody to look at.
func picture(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		folder := os.Getenv("BROWSER_PICTURES")
		if folder == "" {
			return nil
		}
		png, err := chromedp.FullScreenshot(100)(ctx, target)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600)
	})
}

// text waits for an element and reads what it shows.
func text[S chromedp.Selectable](t *testing.T, ctx context.Context, sel S) string {
	t.Helper()
	shown, err := chromedp.Run(ctx, chromedp.Text(sel))
	require.NoError(t, err)
	return shown
}

// What somebody does with a browser on the page of a fresh host: choose two, a time, pay, and read that it is confirmed.
func TestBrowserBooksForTwo(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{
		Slug: "atelier", Name: "A tour of the atelier", Description: "An hour among the looms.", Capacity: 6, Price: booking.Money{Minor: 1500, Currency: "eur"},
		Hours: everyDay(10, 18),
	})
	ctx := browser(t)
	const someDay = `(//div[@class="week"]/fieldset[3]//label)[1]`
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(h.URL()+"/?resource=atelier"),
		picture("book"),
		chromedp.Click(`//nav[@aria-labelledby="many"]/a[text()="2"]`),
		chromedp.WaitVisible(`//nav[@aria-labelledby="many"]/a[@aria-current="true" and text()="2"]`),
	))
	days, err := chromedp.Run(ctx, chromedp.Nodes(chromedp.CSSAll(".week legend")))
	require.NoError(t, err)
	require.Len(t, days, 7, "a week")
	require.Equal(t, "6 left", text(t, ctx, someDay+`//small`))
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Click(someDay),
		chromedp.SendKeys(chromedp.ID("firstName"), "Ada"),
		chromedp.SendKeys(chromedp.ID("lastName"), "Lovelace"),
		chromedp.SendKeys(chromedp.ID("email"), "ada@example.com"),
		picture("filled"),
		chromedp.Click(chromedp.CSS(`form[method="post"] button.main`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value="pay"]`)),
		picture("pay"),
		chromedp.Click(chromedp.CSS(`button[value="pay"]`)),
		chromedp.WaitVisible(`//h1[text()="Your booking is confirmed"]`),
		picture("confirmed"),
	))
	shown := text(t, ctx, chromedp.CSS("dl"))
	require.Contains(t, shown, "2 people")
	require.Contains(t, shown, "EUR 30.00")
	all, err := h.Bookings().List(t.Context(), booking.ListOptions{})
	require.NoError(t, err)
	require.Len(t, all.Bookings, 1)
	require.Equal(t, 2, all.Bookings[0].Party)
	require.Equal(t, booking.Confirmed, all.Bookings[0].Status)
}

// everyDay is open on all days of the week between two hours.
func everyDay(opens, closes int) (hours []booking.Hours) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		hours = append(hours, booking.Hours{Weekday: day, Opens: opens * 60, Closes: closes * 60})
	}
	return hours
}
