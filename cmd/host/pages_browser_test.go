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

// browser starts Chromium with further flags.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	require.NotEmpty(t, path, "no Chromium is on the PATH, and CHROMIUM does not name one")
	flags = append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1000),
		// Chromium's sandbox refuses root, and /dev/shm may be small.
		chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true),
	}, flags...)
	ctx, cancel := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(flags...))
	t.Cleanup(cancel)
	// The first test starts the browser, which lives as long as this context.
	require.NoError(t, chromedp.Do(ctx))
	// Cancel waits until it has ended, so that its folder can be removed.
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return limited
}

// picture saves a screenshot to the folder in BROWSER_PICTURES.
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

// text waits for an element and returns its text.
func text[S chromedp.Selectable](t *testing.T, ctx context.Context, sel S) string {
	t.Helper()
	shown, err := chromedp.Run(ctx, chromedp.Text(sel))
	require.NoError(t, err)
	return shown
}

func TestBrowser_BooksForTwo(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{
		Slug: "atelier", Name: "A tour of the atelier", Description: "An hour among the looms.", Capacity: 6,
		Price: booking.Money{Minor: 1500, Currency: "eur"},
		Hours: everyDay(10, 18),
	})
	ctx := browser(t)
	const first = `(` + someDay + `//label)[1]`
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(h.URL()+"/?resource=atelier"),
		picture("book"),
		chromedp.Click(`//nav[@aria-labelledby="many"]/a[text()="2"]`),
		chromedp.WaitVisible(`//nav[@aria-labelledby="many"]/a[@aria-current="true" and text()="2"]`),
	))
	days, err := chromedp.Run(ctx, chromedp.Nodes(chromedp.CSSAll(".week legend")))
	require.NoError(t, err)
	require.Len(t, days, 7, "a week")
	require.Equal(t, "6 left", text(t, ctx, first+`//small`))
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Click(first),
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
	require.Equal(t, booking.StatusConfirmed, all.Bookings[0].Status)
}

// everyDay is open on all days of the week between two hours.
func everyDay(opens, closes int) (hours []booking.Hours) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		hours = append(hours, booking.Hours{Weekday: day, Opens: opens * 60, Closes: closes * 60})
	}
	return hours
}

// withoutBackForwardCache makes Back load the page again and restore its form.
var withoutBackForwardCache = chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,BackForwardCache")

// someDay is the third day of the week.
const someDay = `//div[@class="week"]/fieldset[3]`

// chosen returns the checked time of a page, or "".
func chosen(t *testing.T, ctx context.Context) string {
	t.Helper()
	value,
		err := chromedp.Run(ctx,
		chromedp.Evaluate[string](`document.querySelector('input[name=start]:checked')?.value ?? ''`))
	require.NoError(t, err)
	return value
}

// M12: Browsers restore radio buttons by position. The customer's own time is not in the
// list any more, so another one would be checked.
func TestBrowser_BackFromPayPage(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{
		Slug: "atelier", Name: "A tour of the atelier", Price: booking.Money{Minor: 1500, Currency: "eur"},
		Hours: everyDay(10, 18),
	})
	ctx := browser(t, withoutBackForwardCache)
	noon := someDay + `//label[normalize-space()="12:00"]`
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(h.URL()+"/?resource=atelier"),
		chromedp.Click(noon),
		chromedp.SendKeys(chromedp.ID("firstName"), "Ada"),
		chromedp.SendKeys(chromedp.ID("lastName"), "Lovelace"),
		chromedp.SendKeys(chromedp.ID("email"), "ada@example.com"),
	))
	require.Contains(t, chosen(t, ctx), "T12:00:00")
	key, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('input[name=key]').value`))
	require.NoError(t, err)
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Click(chromedp.CSS(`form[method="post"] button.main`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value="pay"]`)),
		chromedp.NavigateBack(),
		chromedp.WaitVisible(chromedp.ID("firstName")),
	))
	// The name is restored, so the page was loaded again.
	_, err = chromedp.Run(ctx, chromedp.Poll[bool](`document.getElementById('firstName').value === 'Ada'`))
	require.NoError(t, err)
	require.Empty(t, chosen(t, ctx), "no other time is chosen")
	times,
		err := chromedp.Run(ctx,
		chromedp.Evaluate[string](`[...document.querySelectorAll('fieldset:nth-of-type(3) label')].map(l => l.textContent.trim()).join()`))
	require.NoError(t, err)
	require.Equal(t, "10:00,11:00,13:00,14:00,15:00,16:00,17:00", times)
	again, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('input[name=key]').value`))
	require.NoError(t, err)
	require.NotEqual(t, key, again, "hidden fields are those of the page that is shown")

	// Without a checked time the form is not sent.
	require.NoError(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`form[method="post"] button.main`))))
	at, err := chromedp.Run(ctx, chromedp.Location())
	require.NoError(t, err)
	require.Equal(t, h.URL()+"/?resource=atelier", at)
	require.Equal(t, 1, h.count("bookings"))
}

// M12.
func TestBrowser_BackFromMove(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "atelier", Name: "A tour of the atelier", Hours: everyDay(10, 18)})
	ada := h.client()
	b := ada.book("atelier", mustTime(t, ada.slotOf("atelier", 0)), false)
	ctx := browser(t, withoutBackForwardCache)
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(h.URL()+"/booking/move?booking="+b.ID+"&token="+b.Token),
		chromedp.Click(someDay+`//label[normalize-space()="12:00"]`),
	))
	require.Contains(t, chosen(t, ctx), "T12:00:00")
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Click(chromedp.CSS(`form[method="post"] button.main`)),
		chromedp.WaitVisible(`//h1[text()="Your booking was moved"]`),
		chromedp.NavigateBack(),
		chromedp.WaitVisible(someDay+`//label[normalize-space()="13:00"]`),
	))
	gone, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.readyState === 'complete' && !document.querySelector('fieldset:nth-of-type(3)').textContent.includes('12:00')`))
	require.NoError(t, err)
	require.True(t, gone, "the page was loaded again")
	require.Empty(t, chosen(t, ctx), "no other time is chosen")
}

// M12: The party is in the address, so restored input does not change it.
func TestBrowser_BackFromLargerParty(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "atelier", Name: "A tour of the atelier", Capacity: 20,
		Hours: everyDay(10, 18)})
	ctx := browser(t, withoutBackForwardCache)
	party := chromedp.ID("party")
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(h.URL()+"/?resource=atelier"),
		chromedp.SetValue(party, ""),
		chromedp.SendKeys(party, "12"),
		chromedp.SendKeys(chromedp.ID("firstName"), "Ada"),
		chromedp.Click(`//button[text()="Show times"]`),
		chromedp.WaitVisible(`//button[contains(., "12 people")]`),
		chromedp.NavigateBack(),
		chromedp.WaitVisible(chromedp.ID("firstName")),
	))
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.getElementById('firstName').value === 'Ada'`))
	require.NoError(t, err)
	for _, field := range []string{"#party", `form[method="post"] input[name=party]`} {
		value, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('`+field+`').value`))
		require.NoError(t, err)
		require.Equal(t, "1", value, field)
	}
}

// The way back at the width of a phone: leave the pay page, leave it again with another
// time, give that up, and pay for the first.
func TestBrowser_WayBackOnAPhone(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]chromedp.ExecAllocatorOption{
		"script": nil, "no-script": {chromedp.Flag("blink-settings", "scriptEnabled=false")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t, nil)
			h.addResource(booking.Resource{
				Slug: "atelier", Name: "A tour of the atelier", Price: booking.Money{Minor: 1500, Currency: "eur"},
				Hours: everyDay(10, 18),
			})
			ctx := browser(t, append(flags, chromedp.Flag("lang", "fr"), chromedp.Flag("accept-lang", "fr"))...)
			book := func(at string) {
				require.NoError(t, chromedp.Do(ctx,
					chromedp.Click(someDay+`//label[normalize-space()="`+at+`"]`),
					chromedp.SendKeys(chromedp.ID("firstName"), "Ada"),
					chromedp.SendKeys(chromedp.ID("lastName"), "Lovelace"),
					chromedp.SendKeys(chromedp.ID("email"), "ada@example.com"),
					chromedp.Click(`//button[contains(., "Payer 15,00")]`),
					chromedp.WaitVisible(chromedp.CSS(`button[value="leave"]`)),
					chromedp.Click(chromedp.CSS(`button[value="leave"]`)),
					chromedp.WaitVisible(`//h1[text()="Vous n’avez pas encore payé"]`),
				))
			}
			require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile),
				chromedp.Navigate(h.URL()+"/?resource=atelier"), picture(name+"-phone-book")))
			book("12:00")
			left, err := chromedp.Run(ctx, chromedp.Location())
			require.NoError(t, err)
			require.Contains(t, text(t, ctx, chromedp.CSS(".lead")), "Cette heure vous est réservée jusqu’à")
			require.NoError(t, chromedp.Do(ctx,
				picture(name+"-phone-left"),
				chromedp.Click(`//a[text()="D’autres heures"]`),
				chromedp.WaitVisible(`//h2[text()="À vous, pas encore payées"]`),
				picture(name+"-phone-own"),
			))
			book("13:00")
			require.NoError(t, chromedp.Do(ctx,
				chromedp.Click(`//button[text()="Y renoncer"]`),
				chromedp.WaitVisible(`//h1[text()="Cette réservation a été annulée"]`),
				picture(name+"-phone-given-up"),
				chromedp.Navigate(left),
				chromedp.WaitVisible(`//h1[text()="Vous n’avez pas encore payé"]`),
				chromedp.Click(`//a[contains(., "Payer 15,00")]`),
				chromedp.Click(chromedp.CSS(`button[value="pay"]`)),
				chromedp.WaitVisible(`//h1[text()="Votre réservation est confirmée"]`),
				picture(name+"-phone-confirmed"),
			))
			all, err := h.Bookings().List(t.Context(), booking.ListOptions{Order: booking.ByStart})
			require.NoError(t, err)
			require.Len(t, all.Bookings, 2)
			require.Equal(t, booking.StatusConfirmed, all.Bookings[0].Status)
			require.Equal(t, booking.StatusCancelled, all.Bookings[1].Status)
			require.Equal(t, "fr", all.Bookings[0].Language)
		})
	}
}
