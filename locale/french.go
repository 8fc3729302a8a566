package locale

// frenchTexts are the translations, by the English text. Spaces before : ; ? ! and between
// a number and its unit do not break.
var frenchTexts = map[string]string{
	// Dates, money and terms.
	"%s, %s to %s (%s)":  "%s, de %s à %s (%s)",
	"%d day":             "%d jour",
	"%d days":            "%d jours",
	"%d hour":            "%d heure",
	"%d hours":           "%d heures",
	"%d minute":          "%d minute",
	"%d minutes":         "%d minutes",
	"Free of charge":     "Gratuit",
	"until %s":           "jusqu’au %s",
	"until it begins":    "jusqu’au début",
	"%s: %s":             "%s : %s",
	"%d people":          "%d personnes",
	"%s per person":      "%s par personne",
	"You may cancel.":    "Vous pouvez annuler.",
	"You may cancel %s.": "Vous pouvez annuler %s.",

	"until %s before it begins": "jusqu’à %s avant le début",
	"It is too late to cancel this booking: that was possible %s.": "Il est trop tard pour annuler cette " +
		"réservation : c’était possible %s.",
	"This booking can be neither cancelled nor moved.": "Cette réservation ne peut être ni annulée ni déplacée.",
	"This booking could be cancelled %s.":              "Cette réservation pouvait être annulée %s.",
	"It can be neither cancelled nor moved.":           "Elle ne peut être ni annulée ni déplacée.",
	"You may cancel free of charge %s. After that, and %s, %s of %s is kept.": "Vous pouvez annuler sans frais %s. " +
		"Ensuite, et %s, %s sur %s sont retenus.",
	"You may cancel free of charge %s, and not after that.": "Vous pouvez annuler sans frais %s, mais plus ensuite.",
	"Nothing was charged.":                  "Rien n’a été débité.",
	"The whole price, %s, is kept.":         "Le prix entier, %s, est retenu.",
	"The whole price, %s, is refunded.":     "Le prix entier, %s, est remboursé.",
	"%s of %s is kept, and %s is refunded.": "%s sur %s sont retenus, et %s sont remboursés.",

	// The pay page.
	"Booking %s": "Réservation %s",

	// The booking page.
	"Booking page":                          "Page de réservation",
	"For staff":                             "Pour l’équipe",
	"No money moves:":                       "Aucun paiement réel :",
	"What can be booked":                    "Ce qui se réserve",
	"Times in %s":                           "Fuseau horaire : %s",
	"What":                                  "Quoi",
	"How many people?":                      "Combien de personnes ?",
	"Or more":                               "Ou plus",
	"Show times":                            "Voir les heures",
	"When":                                  "Quand",
	"Who":                                   "Qui",
	"First name":                            "Prénom",
	"Last name":                             "Nom",
	"E-mail":                                "E-mail",
	"Phone":                                 "Téléphone",
	"Note":                                  "Remarque",
	"optional":                              "facultatif",
	"Book":                                  "Réserver",
	"Pay %s":                                "Payer %s",
	"Earlier":                               "Plus tôt",
	"Later":                                 "Plus tard",
	"nothing free":                          "rien de libre",
	"%d left":                               "reste %d",
	"please choose a time":                  "veuillez choisir une heure",
	"Please come back later.":               "Revenez plus tard.",
	"Nothing can be booked yet":             "Rien ne peut encore être réservé",
	"this is the built-in Stripe stand-in.": "c’est le remplaçant intégré de Stripe.",
	"No time is free on these days.":        "Aucune heure n’est libre à ces dates.",
	"The next free time is %s.":             "La prochaine heure libre : %s.",

	"This time is no longer kept for you. Please choose again.": "Cette heure n’est plus réservée pour vous. " +
		"Veuillez choisir à nouveau.",
	"This time has just been booked. Please choose another.": "Cette heure vient d’être réservée. " +
		"Veuillez en choisir une autre.",
	"The payment service cannot be reached right now. Nothing was charged and nothing is booked; please try again in " +
		"a moment.": "Le service de paiement est injoignable pour le moment. Rien n’a été débité et rien n’est " +
		"réservé ; réessayez dans un instant.",
	"This cannot be paid online at the moment, and trying again will not help. Nothing was charged and nothing is " +
		"booked. Please contact us.": "Le paiement en ligne est impossible pour le moment, et réessayer n’y " +
		"changera rien. Rien n’a été débité et rien n’est réservé. Contactez-nous.",
	"Please correct the marked fields.": "Veuillez corriger les champs marqués.",
	"What you chose can no longer be booked. Please choose from what is shown below.": "Ce que vous avez choisi ne " +
		"peut plus être réservé. Veuillez choisir ci-dessous.",
	"There are too many unpaid bookings from your network.": "Il y a trop de réservations impayées depuis votre réseau.",
	"Please try again in %d minute.":                        "Réessayez dans %d minute.",
	"Please try again in %d minutes.":                       "Réessayez dans %d minutes.",
	"Please try again in %d second.":                        "Réessayez dans %d seconde.",
	"Please try again in %d seconds.":                       "Réessayez dans %d secondes.",
	"Please try again later.":                               "Réessayez plus tard.",
	"Please try again.":                                     "Veuillez réessayer.",
	"You already have %d unpaid booking.":                   "Vous avez déjà %d réservation impayée.",
	"You already have %d unpaid bookings.":                  "Vous avez déjà %d réservations impayées.",
	"You already have %d unpaid or free booking.":           "Vous avez déjà %d réservation impayée ou gratuite.",
	"You already have %d unpaid or free bookings.":          "Vous avez déjà %d réservations impayées ou gratuites.",
	"Please pay for one of them.":                           "Veuillez en payer une.",
	"Please pay for one of them or cancel it.":              "Veuillez en payer une ou l’annuler.",
	"Too many bookings are being made from your network.":   "Trop de réservations sont faites depuis votre réseau.",
	"This cannot be booked":                                 "Ceci ne peut pas être réservé",
	"The link may be incomplete, or old.":                   "Le lien est peut-être incomplet ou ancien.",
	"The form could not be read":                            "Le formulaire n’a pas pu être lu",

	"What would you like to book?": "Que voulez-vous réserver ?",
	"This page does not exist":     "Cette page n’existe pas",
	"All that can be booked":       "Tout ce qui se réserve",
	"Name":                         "Nom",
	"Search":                       "Chercher",
	"Length":                       "Durée",
	"Nothing has this name.":       "Rien ne porte ce nom.",
	"%d in all":                    "%d en tout",
	"First page":                   "Première page",
	"Next page":                    "Page suivante",

	// The page of a booking.
	"Your booking":             "Votre réservation",
	"Price":                    "Prix",
	"Status":                   "État",
	"Number":                   "Numéro",
	"Now":                      "Actuellement",
	"stays %s":                 "reste %s",
	"New time":                 "Nouvelle heure",
	"Move it":                  "Déplacer",
	"Reload":                   "Recharger",
	"Request":                  "Requête",
	"Change or cancel":         "Modifier ou annuler",
	"Choose another time":      "Choisir une autre heure",
	"Cancel this booking":      "Annuler cette réservation",
	"Cancel this booking?":     "Annuler cette réservation ?",
	"Yes, cancel it":           "Oui, annuler",
	"No, keep it":              "Non, la garder",
	"To the payment page":      "Vers la page de paiement",
	"Add to your calendar":     "Ajouter à votre agenda",
	"Back to your booking":     "Retour à votre réservation",
	"Move this booking":        "Déplacer cette réservation",
	"There is no such booking": "Cette réservation n’existe pas",
	"Back to the booking page": "Retour à la page de réservation",
	"Keep this link: it shows your booking at any time.": "Gardez ce lien : il montre votre réservation à tout moment.",

	"waiting for payment": "en attente de paiement",
	"confirmed":           "confirmée",
	"cancelled":           "annulée",
	"completed":           "terminée",
	"no-show":             "absence",
	"expired":             "expirée",
	"not paid yet":        "pas encore payé",
	"not paid":            "pas payé",
	"being checked":       "en cours de vérification",
	"processing":          "en cours",
	"paid":                "payé",
	"partially refunded":  "remboursé en partie",
	"refunded":            "remboursé",
	"disputed":            "contesté",
	"dispute lost":        "contestation perdue",

	"Your booking is confirmed":                 "Votre réservation est confirmée",
	"Thank you. We look forward to seeing you.": "Merci. Au plaisir de vous voir.",
	"Your booking is completed":                 "Votre réservation est terminée",
	"Thank you for coming.":                     "Merci de votre visite.",
	"Marked as no-show":                         "Notée comme absence",
	"You did not come to this booking.":         "Vous n’êtes pas venu à cette réservation.",
	"This booking was cancelled":                "Cette réservation a été annulée",
	"Your booking was moved":                    "Votre réservation a été déplacée",
	"Your booking is confirmed for the new time below. The old one is free again.": "Votre réservation est confirmée à la " +
		"nouvelle heure ci-dessous. L’ancienne est de nouveau libre.",
	"Waiting for your payment":                "En attente de votre paiement",
	"This page shows when it has arrived.":    "Cette page l’indique dès qu’il est arrivé.",
	"This time is reserved for you until %s.": "Cette heure vous est réservée jusqu’à %s.",
	"Your payment did not go through":         "Votre paiement n’a pas abouti",
	"Payment processing":                      "Paiement en cours",
	"Your payment has arrived":                "Votre paiement est arrivé",
	"Your booking is being confirmed.":        "Votre réservation va être confirmée.",
	"This booking has expired":                "Cette réservation a expiré",
	"Your payment came too late":              "Votre paiement est arrivé trop tard",
	"Your payment was refunded":               "Votre paiement a été remboursé",
	"Your payment is refunded":                "Votre paiement est remboursé",
	"Nothing was charged, and your time is no longer kept for you.": "Rien n’a été débité, et votre heure n’est plus " +
		"gardée.",
	"Your payment takes a while to arrive. Your time is kept for you meanwhile.": "Votre paiement met un moment à " +
		"arriver. Votre heure est gardée en attendant.",
	"It was not paid for in time. Nothing was charged.": "Elle n’a pas été payée à temps. Rien n’a été débité.",
	"Your payment did not arrive in time, and your time is no longer kept. If it is still free when the payment " +
		"arrives, it is yours; otherwise the whole payment is refunded.": "Votre paiement n’est pas " +
		"arrivé à temps, et " +
		"votre heure n’est plus gardée. Si elle est encore libre à l’arrivée du paiement, elle est à vous " +
		"; sinon, le " +
		"paiement entier est remboursé.",
	"It could not be applied to your booking automatically. We look into it and contact you.": "Il n’a pas pu être " +
		"attribué automatiquement à votre réservation. Nous vérifions et vous contactons.",
	"Your payment could not be applied automatically. We look into it and contact you.": "Votre paiement n’a pas pu " +
		"être attribué automatiquement. Nous vérifions et vous contactons.",
	"Your payment has arrived nevertheless. We look into it and contact you.": "Votre paiement est arrivé malgré tout. " +
		"Nous vérifions et vous contactons.",
	"Your payment is still on its way. When it has arrived:": "Votre paiement est encore en route. À son arrivée :",
	"Your payment could not be applied to it. We look into it and contact you.": "Votre paiement n’a pas pu lui être " +
		"attribué. Nous vérifions et vous contactons.",
	"It reaches your account within 5 to 10 business days.": "Le remboursement arrive sur votre compte " +
		"sous 5 à 10 jours ouvrés.",
	"Your payment could not be used for this booking. All of it, %s, has been refunded to you.": "Votre paiement n’a " +
		"pas pu servir à cette réservation. Il vous a été remboursé en entier, soit %s.",
	"Your payment could not be used for this booking. All of it, %s, is refunded to you automatically.": "Votre " +
		"paiement n’a pas pu servir à cette réservation. Il vous est remboursé automatiquement en entier, soit %s.",
	"You have not paid yet":                              "Vous n’avez pas encore payé",
	"That is in less than a minute.":                     "C’est dans moins d’une minute.",
	"That is in %d minute.":                              "C’est dans %d minute.",
	"That is in %d minutes.":                             "C’est dans %d minutes.",
	"Give it up":                                         "Y renoncer",
	"Other times":                                        "D’autres heures",
	"Yours, not paid yet":                                "À vous, pas encore payées",
	"Pay or give it up":                                  "Payer ou y renoncer",
	"You already hold this time, see below.":             "Cette heure vous est déjà réservée, voir ci-dessous.",
	"The time is reserved for you for %s while you pay.": "L’heure vous est réservée pendant %s, le temps de payer.",
	"You have moved this booking. The payment page may still show the time before.": "Vous avez déplacé cette " +
		"réservation. La page de paiement peut encore indiquer l’ancienne heure.",
	"You left before paying": "Vous êtes parti avant de payer",
	"Nothing was charged. Your time is kept for a little while: go back in your browser to pay for it after all, or " +
		"book again.": "Rien n’a été débité. Votre heure est gardée un moment : revenez en arrière dans votre " +
		"navigateur pour payer, ou réservez à nouveau.",

	// Changes and their terms.
	"This booking cannot be cancelled here": "Cette réservation ne peut pas être annulée ici",
	"It is too late: this booking can no longer be cancelled.": "Il est trop tard : cette réservation ne peut plus être " +
		"annulée.",
	"It is too late: this booking can no longer be moved.": "Il est trop tard : cette réservation ne peut plus être " +
		"déplacée.",
	"Your booking has not changed.":          "Votre réservation n’a pas changé.",
	"This booking cannot be moved any more.": "Cette réservation ne peut plus être déplacée.",
	"What you have booked is no longer offered. Please contact us to move it.": "Ce que vous avez réservé n’est plus " +
		"proposé. Contactez-nous pour déplacer la réservation.",
	"Your money is on its way: when you cancel, all of it is refunded as soon as it has arrived.": "Votre argent est en " +
		"route : si vous annulez, il est remboursé en entier dès son arrivée.",
	"Your money is on its way. When you cancel and it has arrived:": "Votre argent est en route. Si vous annulez, à son " +
		"arrivée :",
	"Nothing has been paid, and cancelling costs nothing.": "Rien n’a été payé, et annuler ne coûte rien.",
	"Your payment could not be applied automatically. We look into it, decide what is refunded, and contact you.": "Votre " +
		"paiement n’a pas pu être attribué automatiquement. Nous vérifions, décidons du remboursement et " +
		"vous contactons.",
	"Your payment has just arrived. Reload this page to see what cancelling costs.": "Votre paiement vient d’arriver. " +
		"Rechargez cette page pour voir ce que coûte une annulation.",
	"Nothing has been paid yet: you may cancel free of charge.": "Rien n’a encore été payé : vous pouvez annuler sans " +
		"frais.",
	"If you have just paid, the terms of a paid booking apply:": "Si vous venez de payer, les conditions d’une " +
		"réservation payée s’appliquent :",
	"Your bank is looking into this payment: nothing is refunded until that is decided.": "Votre banque examine ce " +
		"paiement : rien n’est remboursé avant sa décision.",
	"Your bank has already returned %s to you, and %s is refunded by us.": "Votre banque vous a déjà rendu %s, et nous " +
		"remboursons %s.",
	"Your bank has already returned %s to you: nothing more is refunded.": "Votre banque vous a déjà rendu %s : rien " +
		"de plus n’est remboursé.",

	// Links by mail.
	"Find your bookings": "Retrouver vos réservations",
	"If there are coming bookings under %s, a message with their links is on its way. It can take a few minutes.": "S’il y a " +
		"des réservations à venir pour %s, un message avec leurs liens est en route. Cela peut prendre " +
		"quelques minutes.",
	"We send the links of your coming bookings to your e-mail address.": "Nous envoyons les liens de vos réservations à " +
		"venir à votre adresse e-mail.",
	"Send the links":                "Envoyer les liens",
	"There were too many requests.": "Il y a eu trop de requêtes.",

	// Errors.
	"Please try again in a moment": "Réessayez dans un instant",
	"Something on our side is not working right now. Nothing was charged.": "Quelque chose ne fonctionne pas de notre " +
		"côté. Rien n’a été débité.",
	"We will be back in a few minutes": "Nous revenons dans quelques minutes",
	"We are working on the booking system, and nothing can be booked or changed for the moment. What you have booked " +
		"and paid for is safe. Please try again in a few minutes.": "Nous travaillons sur le système de " +
		"réservation : " +
		"rien ne peut être réservé ni modifié pour le moment. Ce que vous avez réservé et payé est en sécurité. " +
		"Réessayez dans quelques minutes.",

	// Mails.
	"Your booking is confirmed: %s":                         "Votre réservation est confirmée : %s",
	"Your booking was moved: %s":                            "Votre réservation a été déplacée : %s",
	"Your booking was cancelled: %s":                        "Votre réservation a été annulée : %s",
	"Your refund: %s":                                       "Votre remboursement : %s",
	"Your payment is being checked: %s":                     "Votre paiement est en cours de vérification : %s",
	"Your payment goes back to you: %s":                     "Votre paiement vous est rendu : %s",
	"Reminder: %s":                                          "Rappel : %s",
	"Your link: %s":                                         "Votre lien : %s",
	"Your booking of %s is confirmed.":                      "Votre réservation (%s) est confirmée.",
	"Your booking of %s has a new time.":                    "Votre réservation (%s) a un nouvel horaire.",
	"Your booking of %s was cancelled.":                     "Votre réservation (%s) a été annulée.",
	"A refund for your booking of %s was made.":             "Un remboursement pour votre réservation (%s) a été effectué.",
	"Your payment for %s has arrived and is being checked.": "Votre paiement (%s) est arrivé et en cours de vérification.",
	"Your payment for %s could not be used for the booking.": "Votre paiement (%s) n’a pas pu être utilisé pour la " +
		"réservation.",
	"This is a reminder of your booking of %s.":       "Nous vous rappelons votre réservation (%s).",
	"This is the private link of your booking of %s.": "Voici le lien privé de votre réservation (%s).",
	"New booking: %s":                "Nouvelle réservation : %s",
	"Booking moved: %s":              "Réservation déplacée : %s",
	"Booking cancelled: %s":          "Réservation annulée : %s",
	"Refund made: %s":                "Remboursement effectué : %s",
	"Refund failed: %s":              "Échec d’un remboursement : %s",
	"A payment needs a decision: %s": "Un paiement demande une décision : %s",
	"A payment came too late or twice and goes back: %s": "Un paiement est arrivé trop tard ou deux fois et repart : %s",
	"It arrived after the time was given up.":            "Il est arrivé alors que l’horaire n’était plus réservé.",
	"The booking had been paid already.":                 "La réservation était déjà payée.",
	"The booking had been cancelled.":                    "La réservation avait été annulée.",
	"The amount differs from the price.":                 "Le montant diffère du prix.",
	"Hello,":                                             "Bonjour,",
	"Hello %s,":                                          "Bonjour %s,",
	"This link is yours alone: with it the booking can be seen, moved and cancelled. Do not forward this mail.": "Ce lien " +
		"vous est réservé : il permet de voir, de déplacer et d’annuler la réservation. Ne transférez pas ce message.",
	"You receive this mail because of a booking made with this address.": "Vous recevez ce message en raison d’une " +
		"réservation faite avec cette adresse.",
	"Before":                          "Auparavant",
	"People":                          "Personnes",
	"Customer":                        "Client",
	"Total":                           "Total",
	"Refund":                          "Remboursement",
	"Received":                        "Reçu",
	"Reason":                          "Motif",
	"Booking":                         "Réservation",
	"Nothing is paid back.":           "Aucun remboursement n’est dû.",
	"%s is paid back to you.":         "%s vous sont rendus.",
	"%s has to be paid back by hand.": "%s sont à rendre manuellement.",
	"It is not confirmed yet: the payment has not arrived.": "Elle n’est pas encore confirmée : le paiement n’est pas arrivé.",
	"The refund of %s failed. It has to be paid in another way.": "Le remboursement de %s a échoué. Il doit être payé " +
		"autrement.",
	"You need not pay again. We write to you as soon as it is decided.": "Vous n’avez pas à payer de nouveau. Nous vous " +
		"écrirons dès qu’une décision est prise.",
	"%s goes back to the means of payment that was used. It usually arrives within 5 to 10 working days.": "%s sont rendus " +
		"sur le moyen de paiement utilisé, en général sous 5 à 10 jours ouvrés.",
	"We have refunded %s. It usually arrives within 5 to 10 working days.": "Nous avons remboursé %s. Le montant " +
		"arrive en général sous 5 à 10 jours ouvrés.",
	"The attached file puts the time into your calendar.":    "Le fichier joint ajoute l’horaire à votre agenda.",
	"The attached file removes the time from your calendar.": "Le fichier joint retire l’horaire de votre agenda.",
	"We look forward to seeing you.":                         "Au plaisir de vous accueillir.",
}

// frenchProblems are the problems of fields that a customer's form can have.
var frenchProblems = map[string]string{
	"is required":                                   "est obligatoire",
	"must be at least 1":                            "doit valoir au moins 1",
	"is too soon, or has passed":                    "est trop proche, ou passé",
	"is too far ahead":                              "est trop lointain",
	"is not the start of a slot":                    "n’est pas le début d’un créneau",
	"makes the amount too large":                    "rend le montant trop élevé",
	"cannot be booked":                              "ne peut pas être réservé",
	"is not one of the resource's":                  "n’est pas proposé ici",
	"is not an e-mail address":                      "n’est pas une adresse e-mail",
	"does not exist":                                "n’existe pas",
	"has no visible character":                      "n’a aucun caractère visible",
	"contains control characters":                   "contient des caractères de contrôle",
	"contains characters that hide or reorder text": "contient des caractères qui cachent ou réordonnent le texte",
	"must be digits, spaces and + - ( ) . only, such as +33 1 23 45 67 89": "ne doit contenir que des chiffres, des " +
		"espaces et + - ( ) ., comme +33 1 23 45 67 89",
}
