package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/migrations"
)

var userRoles = []string{auth.RoleAdmin, auth.RoleOps, auth.RoleReadOnly}

func (c *cli) userCommand() *cobra.Command {
	role := auth.RoleReadOnly
	var generate bool
	generateFlag := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().BoolVar(&generate, "generate", false, "make a random password and print it once")
		return cmd
	}
	add := c.jsonFlag(&cobra.Command{
		Use:   "add EMAIL",
		Short: "Add a user",
		Long: `Add a user. The password is asked for on a terminal; otherwise it is the first line of
standard input. 'docker exec -i' shows what is typed: use 'docker exec -it', or --generate.`,
		Example: `  host user add --role OPS ada@example.com
  host user add --generate ada@example.com
  echo "$PASSWORD" | host user add ada@example.com`,
		Args: emailNoPassword,
		RunE: c.action(func(ctx context.Context, args []string) error {
			return c.addUser(ctx, args[0], role, generate)
		}),
	})
	generateFlag(add)
	add.Flags().Func("role", "the `ROLE`: "+strings.Join(userRoles, ", ")+" (default "+role+")",
		func(s string) error { role = s; return checkRole(s) })
	_ = add.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(userRoles, cobra.ShellCompDirectiveNoFileComp))
	change := func(use, short, example string, args cobra.PositionalArgs,
		do func(context.Context, *auth.UserTable, []string) (auth.Account, error)) *cobra.Command {
		return c.jsonFlag(&cobra.Command{
			Use: use, Short: short, Example: example,
			Args: args,
			RunE: c.action(func(ctx context.Context, args []string) error {
				return c.changeUser(ctx, args[0], func(users *auth.UserTable) (auth.Account, error) {
					return do(ctx, users, args)
				})
			}),
		})
	}
	setRole := change("role EMAIL ROLE", "Change the role of a user", "  host user role ada@example.com ADMIN",
		emailAndRole, func(ctx context.Context, users *auth.UserTable, args []string) (auth.Account, error) {
			return users.SetRole(ctx, args[0], args[1])
		})
	return c.group("user", "Add, list and change users", add,
		c.jsonFlag(&cobra.Command{
			Use:     "list",
			Short:   "List the users",
			Example: "  host user list",
			Args:    noArguments,
			RunE:    c.action(c.listUsers),
		}),
		setRole,
		generateFlag(change("passwd EMAIL", "Set the password of a user, and end the user's sessions",
			"  host user passwd ada@example.com\n  host user passwd --generate ada@example.com", emailNoPassword,
			func(ctx context.Context, users *auth.UserTable, args []string) (auth.Account, error) {
				return c.withPassword(generate, func(password string) (auth.Account, error) {
					return users.SetPassword(ctx, args[0], password)
				})
			})),
		change("disable EMAIL", "Disable a user, and end the user's sessions", "  host user disable ada@example.com",
			oneEmail, func(ctx context.Context, users *auth.UserTable, args []string) (auth.Account, error) {
				return users.Disable(ctx, args[0])
			}),
		change("enable EMAIL", "Enable a user", "  host user enable ada@example.com", oneEmail,
			func(ctx context.Context, users *auth.UserTable, args []string) (auth.Account, error) {
				return users.Enable(ctx, args[0])
			}))
}

var oneEmail = arguments(1, 1, "the e-mail address")

// emailNoPassword does not print what may be a password.
func emailNoPassword(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("one argument too many: the password is asked for, or read from standard input")
	}
	return oneEmail(cmd, args)
}

func emailAndRole(cmd *cobra.Command, args []string) error {
	roles := strings.Join(userRoles, ", ")
	if err := arguments(2, 2, "the e-mail address or the role ("+roles+")")(cmd, args); err != nil {
		return err
	}
	if err := checkRole(args[1]); err != nil {
		return usagef("role %q: %v", args[1], err)
	}
	return nil
}

func checkRole(role string) error {
	if !slices.Contains(userRoles, role) {
		return fmt.Errorf("want one of %s", strings.Join(userRoles, ", "))
	}
	return nil
}

func (c *cli) withUsers(ctx context.Context, do func(*auth.UserTable) error) error {
	return c.withStorage(ctx, migrations.Auth, func(s *storage) error {
		users, err := auth.NewUsers(s.db, auth.UsersOptions{Logger: c.logger()})
		if err != nil {
			return err
		}
		return do(users)
	})
}

func (c *cli) addUser(ctx context.Context, email, role string, generate bool) error {
	return c.changeUser(ctx, email, func(users *auth.UserTable) (auth.Account, error) {
		return c.withPassword(generate, func(password string) (auth.Account, error) {
			return users.Add(ctx, email, password, role)
		})
	})
}

// withPassword calls do with a password that was read or generated. It prints a generated
// one to standard error if do succeeds.
func (c *cli) withPassword(generate bool, do func(password string) (auth.Account, error)) (auth.Account, error) {
	if generate {
		password := rand.Text()
		a, err := do(password)
		if err == nil {
			fmt.Fprintf(c.err, "password: %s\n", password)
		}
		return a, err
	}
	password, err := c.readPassword()
	if err != nil {
		return auth.Account{}, err
	}
	return do(password)
}

func (c *cli) changeUser(ctx context.Context, email string, do func(*auth.UserTable) (auth.Account, error)) error {
	return c.withUsers(ctx, func(users *auth.UserTable) error {
		a, err := do(users)
		switch {
		case errors.Is(err, auth.ErrNotFound):
			return fmt.Errorf("there is no user %q", email)
		case errors.Is(err, auth.ErrExists):
			return fmt.Errorf("the user %q exists already", email)
		case err != nil:
			return err
		}
		return c.printer().Users(a)
	})
}

// hintAfter is how long a password is waited for before a person is assumed to type it.
const hintAfter = 700 * time.Millisecond

// readPassword asks twice on a terminal, without an echo, and otherwise reads the first
// line. Passwords are not arguments, because every user of the machine can list those.
func (c *cli) readPassword() (string, error) {
	if file, ok := c.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		var typed [2]string
		for i, prompt := range []string{"Password: ", "Password again: "} {
			fmt.Fprint(c.err, prompt)
			password, err := term.ReadPassword(int(file.Fd()))
			fmt.Fprintln(c.err)
			if err != nil {
				return "", fmt.Errorf("read the password: %w", err)
			}
			typed[i] = string(password)
		}
		if typed[0] != typed[1] {
			return "", errors.New("the two passwords are not the same")
		}
		return typed[0], nil
	}
	// A script has the password ready. A person behind docker exec -i has not.
	hint := time.AfterFunc(hintAfter, func() {
		fmt.Fprintln(c.err, "Reading the password from standard input, which is not a terminal: what you type can be "+
			"seen. Ctrl-C, and docker exec -it or --generate, avoid that.")
	})
	defer hint.Stop()
	line, err := bufio.NewReader(io.LimitReader(c.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", errors.New("there is no password on standard input: pipe one into the command, use docker exec -it, " +
			"or give --generate")
	}
	return password, nil
}

func (c *cli) listUsers(ctx context.Context, _ []string) error {
	return c.withUsers(ctx, func(users *auth.UserTable) error {
		var all []auth.Account
		for after := ""; ; after = all[len(all)-1].Email {
			page, err := users.List(ctx, after, 500)
			if err != nil {
				return err
			}
			if all = append(all, page...); len(page) < 500 {
				return c.printer().Users(all...)
			}
		}
	})
}
