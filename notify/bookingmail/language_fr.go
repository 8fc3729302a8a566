package bookingmail

import (
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

var french = language{
	tag: "fr",
	subject: map[Topic]string{
		TopicConfirmed: "Votre réservation est confirmée : %s",
		TopicMoved:     "Votre réservation a été déplacée : %s",
		TopicCancelled: "Votre réservation a été annulée : %s",
		TopicRefunded:  "Votre remboursement : %s",
		TopicParked:    "Votre paiement est en cours de vérification : %s",
		TopicUnapplied: "Votre paiement vous est rendu : %s",
		TopicReminder:  "Rappel : %s",
		TopicLink:      "Votre lien : %s",
	},
	lead: map[Topic]string{
		TopicConfirmed: "Votre réservation (%s) est confirmée.",
		TopicMoved:     "Votre réservation (%s) a un nouvel horaire.",
		TopicCancelled: "Votre réservation (%s) a été annulée.",
		TopicRefunded:  "Un remboursement pour votre réservation (%s) a été effectué.",
		TopicParked:    "Votre paiement (%s) est arrivé et en cours de vérification.",
		TopicUnapplied: "Votre paiement (%s) n’a pas pu être utilisé pour la réservation.",
		TopicReminder:  "Nous vous rappelons votre réservation (%s).",
		TopicLink:      "Voici le lien privé de votre réservation (%s).",
	},
	owner: map[Topic]string{
		TopicConfirmed:    "Nouvelle réservation : %s",
		TopicMoved:        "Réservation déplacée : %s",
		TopicCancelled:    "Réservation annulée : %s",
		TopicRefunded:     "Remboursement effectué : %s",
		TopicRefundFailed: "Échec d’un remboursement : %s",
		TopicParked:       "Un paiement demande une décision : %s",
		TopicUnapplied:    "Un paiement est arrivé trop tard ou deux fois et repart : %s",
	},
	hello:              "Bonjour,",
	helloName:          "Bonjour %s,",
	labelWhat:          "Prestation",
	labelWhen:          "Date",
	labelBefore:        "Auparavant",
	labelParty:         "Personnes",
	labelNumber:        "Réservation",
	labelTotal:         "Total",
	labelRefund:        "Remboursement",
	labelReceived:      "Reçu",
	labelCustomer:      "Client",
	labelPhone:         "Téléphone",
	labelNote:          "Remarque",
	labelReason:        "Motif",
	free:               "Gratuit",
	button:             "Votre réservation",
	keep:               "Ce lien vous est réservé : il permet de voir, de déplacer et d’annuler la réservation. Ne transférez pas ce message.",
	soon:               "Au plaisir de vous accueillir.",
	noRefund:           "Aucun remboursement n’est dû.",
	refundComes:        "%s vous seront rendus sur le moyen de paiement utilisé, en général sous 5 à 10 jours ouvrés.",
	refundDesk:         "%s vous seront rendus.",
	calendar:           "Le fichier joint ajoute l’horaire à votre agenda.",
	calendarOff:        "Le fichier joint retire l’horaire de votre agenda.",
	checking:           "Vous n’avez pas à payer de nouveau. Nous vous écrirons dès qu’une décision est prise.",
	goesBack:           "%s vous seront rendus en totalité sur le moyen de paiement utilisé, en général sous 5 à 10 jours ouvrés.",
	refundProblem:      "Le remboursement de %s a échoué. Il doit être payé autrement.",
	neverChange:        "Cette réservation ne peut être ni annulée ni déplacée.",
	changeUntil:        "Vous pouvez l’annuler ou la déplacer jusqu’au %s.",
	changeFree:         "Vous pouvez l’annuler ou la déplacer sans frais jusqu’au %s, et plus ensuite.",
	changeFreeThenFee:  "Vous pouvez l’annuler ou la déplacer sans frais jusqu’au %s. Ensuite, et jusqu’au %s, %s sur %s sont retenus.",
	changeFeeUntil:     "Vous pouvez l’annuler jusqu’au %s ; %s sur %s sont retenus.",
	changeTooLate:      "Il est trop tard pour annuler ou déplacer cette réservation.",
	footer:             "Vous recevez ce message en raison d’une réservation faite avec cette adresse.",
	to:                 "à",
	reasonLate:         "Il est arrivé après l’expiration de l’option.",
	reasonTwice:        "La réservation était déjà payée.",
	reasonCancelled:    "La réservation avait été annulée.",
	reasonAmountDiffer: "Le montant diffère du prix.",
	weekdays:           [7]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
	months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
		"novembre", "décembre"},
	date: func(l language, t time.Time) string { return l.day(l, t) + ", " + t.Format("15:04") },
	day: func(l language, t time.Time) string {
		day := fmt.Sprint(t.Day())
		if t.Day() == 1 {
			day = "1er"
		}
		return fmt.Sprintf("%s %s %s %d", l.weekdays[t.Weekday()], day, l.months[t.Month()-1], t.Year())
	},
	money: func(m booking.Money) string {
		return strings.ReplaceAll(m.Decimal(), ".", ",") + "\u00a0" + strings.ToUpper(m.Currency)
	},
}
