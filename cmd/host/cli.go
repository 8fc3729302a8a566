package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `host runs booking-platform.

  host [serve]         serve the booking page, the API and the webhook; what the database lacks is applied first
  host migrate up      apply what the database lacks
  host migrate status  list what the database has; exit status 1 when something is pending
  host resource apply -f file [-dry-run]
                       make resources what a file says, in YAML or JSON; -f - reads standard input
  host resource list   list the resources
  host resource show slug...
                       print resources as apply reads them
  host events list [-outcome o] [-reason r] [-type t] [-since s] [-before id] [-limit n] [-json]
                       list Stripe's events and what became of them, newest first; -since is an age
                       such as 24h, a day such as 2026-11-01, or an instant in RFC 3339
  host events show [-json] id...
                       print events with their payloads, which hold customers' data
  host events replay [-id id,...] [-outcome o,...] [-type t] [-since s] [-limit n] [-dry-run] [-json]
                       handle events again that have failed or matched nothing, as another delivery would; parked
                       and ignored ones when -outcome names them; exit status 1 when one is left unsettled
  host events ignore [-json] id...
                       end events that are failed, unmatched or parked and need nothing: they are neither tried again
                       nor counted as waiting; exit status 1 when one was none of these
  host events fetch -since s [-dry-run] [-json]
                       handle every event that Stripe has made since then, delivered or not, as a delivery would: after
                       a backup was restored; exit status 1 when one failed or matches nothing
  host events waiting [-json]
                       count the events that are not done, with the age of the oldest
  host payment list [-json]
                       list the payments and refunds that wait for a person
  host payment show [-json] id...
                       print payments with their refunds, by the id of the payment, of its booking, or of its Checkout Session
  host payment refund [-amount 25.00] -cause text [-reason text] id
                       give back what was paid, or a part; the same cause gives it back once
  host payment retry refund-id
                       have a refund tried again: a due one now, one that failed by another in its place
  host booking renew-links [-secret id | -all] [-after id] [-links] [-json]
                       make new links for coming bookings whose link is dead, because the secret that it was made with was
                       taken out of SESSION_SECRET; -secret: for those of one secret, by its id (host doctor lists them);
                       -all: for all. Every older link of theirs is then dead. -links prints the new ones with the
                       customers' addresses, and -after continues a run of -secret or -all that was interrupted
  host booking renew-links [-json] id...
                       make new links for these bookings and print them
  host user add [-role ADMIN|OPS|READONLY] email
                       add a user; the password is asked for, or read from standard input
  host user list       list the users
  host user role email ADMIN|OPS|READONLY
  host user passwd email
  host user disable email
  host user enable email
                       change a user; another password and disabling end the user's sessions
  host doctor [-json] [-hosts n]
                       examine configuration, database, Stripe and what is left undone, from beside a running host or without
                       one, and change nothing; exit status 1 when there is a problem, 0 with warnings alone. -hosts is how
                       many hosts run at once, those of a deployment included (2)
  host doctor -base url [-json] [-pay [-resource slug] [-wait 10m]]
                       examine a host that runs, over HTTP; with -pay and in Stripe's test mode alone, book a slot, pay for it,
                       see it confirmed once, and cancel it again
  host healthcheck     ask the host that runs here whether it is ready; exit status 1 when it is not
  host version         print the version
  host help            print this

Configuration comes from the environment; .env.example in the repository lists it. Without any, host serves
http://127.0.0.1:3000 on a private Postgres, with a stand-in for Stripe.
`

// A signal that follows another this closely is the same one: supervisors send it to the
// process and to its group.
const sameSignal = time.Second

// run does one command and returns the exit status: 0 done, 1 failed, 2 not understood.
// The context, SIGINT or SIGTERM end it in order; a second signal, a second or more after
// the first, ends the process at once.
func run(ctx context.Context, args []string, environ map[string]string, stdout, stderr io.Writer) int {
	return runWith(ctx, args, environ, streams{os.Stdin, stdout, stderr})
}

func runWith(ctx context.Context, args []string, environ map[string]string, std streams) int {
	stdout, stderr := std.out, std.err
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, restore) })

	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	takes := map[string]int{
		"migrate": 1, "resource": len(args), "events": len(args), "payment": len(args), "booking": len(args),
		"user": len(args), "doctor": len(args),
	}
	if len(args) > takes[name] {
		return misunderstood(stderr)
	}
	var err error
	switch name {
	case "serve":
		err = serve(ctx, environ, stdout, stderr)
	case "migrate":
		switch {
		case len(args) == 1 && args[0] == "up":
			err = migrateUp(ctx, environ, stdout, stderr)
		case len(args) == 1 && args[0] == "status":
			err = migrateStatus(ctx, environ, stdout, stderr)
		default:
			return misunderstood(stderr)
		}
	case "resource":
		if err = resource(ctx, args, environ, std); errors.Is(err, errMisunderstood) {
			return misunderstood(stderr)
		}
	case "events":
		if err = events(ctx, args, environ, std); errors.Is(err, errMisunderstood) {
			return misunderstood(stderr)
		}
	case "payment":
		if err = payment(ctx, args, environ, std); errors.Is(err, errMisunderstood) {
			return misunderstood(stderr)
		}
	case "booking":
		if err = bookingCommand(ctx, args, environ, std); errors.Is(err, errMisunderstood) {
			return misunderstood(stderr)
		}
	case "user":
		if err = user(ctx, args, environ, std); errors.Is(err, errMisunderstood) {
			return misunderstood(stderr)
		}
	case "doctor":
		if err = doctorCommand(ctx, args, environ, std); errors.Is(err, errMisunderstood) {
			return misunderstood(stderr)
		}
	case "healthcheck":
		err = healthcheck(ctx, environ, stdout)
	case "version":
		fmt.Fprintln(stdout, versionOf(environ["APP_VERSION"]))
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
	default:
		return misunderstood(stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "host: %v\n", err)
		return 1
	}
	return 0
}

// quietFlags leaves it to the command to say that it was misunderstood.
func quietFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func misunderstood(stderr io.Writer) int {
	fmt.Fprint(stderr, usage)
	return 2
}
