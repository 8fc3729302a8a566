package valid_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// M30: Text of any script and emoji.
func TestText_Legitimate(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"Ada Lovelace", "Zoë", "Zoe\u0308", "O’Brien-Smith", "Łukasz", "Nguyễn Thị Minh Khai", "Σωκράτης", "Фёдор",
		"محمد", "فاطمة الزهراء", "שָׁלוֹם", "יוסי כהן", "سارا رضایی\u200cپور", // A joiner of Persian.
		"क्\u200dष", "शर्मा", "ශ්\u200dරී", "അവന്\u200d", "山田 太郎", "葛\U000e0100城", "김철수", "ἀΐδιος", "สมชาย",
		"👩‍👩‍👧‍👦", "👩🏽‍🚀", "❤️", "🏳️‍🌈", "🇫🇷", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "1️⃣",
		"\u0661\u0662", "\u06dd", "a\u00a0b", "日本\u3000語", "x", "Café №5 — “Salle” (20 m²)",
	} {
		require.Empty(t, valid.Required(s, 200), "%q", s)
		require.Equal(t, s, valid.WithoutHidden(s))
	}
	require.Empty(t, valid.Text("", 10, ""))
	require.Empty(t, valid.Text("two\r\nlines\tand a tab", 100, "\n\r\t"))
}

// M30.
func TestText_HidesOrReorders(t *testing.T) {
	t.Parallel()
	hidden := []rune{0x00ad, 0x034f, 0x061c, 0x17b4, 0x17b5, 0x180e, 0x200b, 0x200e, 0x200f, 0xfeff, 0x2028, 0x2029,
		0xfff9, 0xfffa, 0xfffb, 0xe0001, 0xe0041, 0xe007f}
	for r := rune(0x202a); r <= 0x202e; r++ {
		hidden = append(hidden, r)
	}
	for r := rune(0x2060); r <= 0x206f; r++ {
		if r != 0x2065 { // Not assigned.
			hidden = append(hidden, r)
		}
	}
	for _, r := range hidden {
		for _, s := range []string{"Ada" + string(r) + "Lovelace", string(r) + "Ada", "Ada" + string(r),
			"א" + string(r) + "ב"} {
			require.Equal(t, "contains characters that hide or reorder text", valid.Required(s, 200), "%q", s)
			require.Equal(t, "contains characters that hide or reorder text", valid.Text(s, 200, "\n\r\t"), "%q", s)
			require.Equal(t, strings.ReplaceAll(s, string(r), ""), valid.WithoutHidden(s))
			require.Empty(t, valid.Storable(s, 200, ""))
		}
		require.Equal(t, "is required", valid.Required(string(r), 200), "%q", r)
	}
	for _, s := range []string{"A\u200db", "A\u200cb", "\u200dא", "5\u200d", "ж\u200dж", "ω\u200c", "م\u200d\u200dم",
		" \u200dم"} {
		require.Equal(t, "contains characters that hide or reorder text", valid.Required(s, 200), "%q", s)
	}
	// Tags outside of a flag are invisible text.
	for _, s := range []string{"🏴\U000e0067\U000e0062", "🏴\U000e007f", "x\U000e0067\U000e007f",
		"🏴" + strings.Repeat("\U000e0067", 9) + "\U000e007f"} {
		require.NotEmpty(t, valid.Required(s, 200), "%q", s)
	}
}

func TestPhone_AsWritten(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "112", "+33 1 23 45 67 89", "(030) 123-45.67", "+1 (555) 010-9999", "0123456789"} {
		require.Empty(t, valid.Phone(s), "%q", s)
	}
	for _, s := range []string{"1", " ", "()", "ext. 5123", "+33\u00a0123", "１２３", "\u202a112\u202c", "112\n",
		"1\x001 2 3", strings.Repeat("1", 21), "1-2-3" + strings.Repeat("-", 36), "a\xff112"} {
		require.NotEmpty(t, valid.Phone(s), "%q", s)
	}
}

func TestOptional_EmptyOrVisible(t *testing.T) {
	t.Parallel()
	require.Empty(t, valid.Optional("", 3))
	require.Empty(t, valid.Optional("Zoë", 3))
	for _, s := range []string{" ", "\u3164", "Zoës", "\xff", "a\x00"} {
		require.NotEmpty(t, valid.Optional(s, 3), "%q", s)
	}
}

func TestText_OtherRules(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", " ", "\u00a0\u3000\u2003", "\u200b", "\u3164", "\u2800", "\u115f\u1160", "\u0301",
		"\ufe0f", "\u200d", "\t", "\u2060\ufeff"} {
		require.Equal(t, "is required", valid.Required(s, 200), "%q", s)
	}
	require.Equal(t, "is not valid UTF-8", valid.Required("a\xff", 200))
	require.Equal(t, "is not valid UTF-8", valid.Required("\xff", 200))
	require.Equal(t, "is longer than 3 characters", valid.Required("äöüß", 3))
	for r := range rune(0xa0) {
		if unicode.IsControl(r) {
			require.Equal(t, "contains control characters", valid.Text(fmt.Sprintf("a%cb", r), 200, ""), "%q", r)
		}
	}
}

func TestErasedActor(t *testing.T) {
	t.Parallel()
	for actor, want := range map[string]string{
		"user:ada@example.com": "user:erased", "user:ada:admin": "user:erased", "user:": "user:erased",
		"Ada Lovelace": "erased", "user:erased": "user:erased", "erased": "erased",
	} {
		require.Equal(t, want, valid.ErasedActor(actor), actor)
	}
}
