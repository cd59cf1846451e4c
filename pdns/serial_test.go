package pdns

import "testing"

func TestSerialNewer(t *testing.T) {
	tests := []struct {
		a, b uint32
		want bool
	}{
		{1, 0, true},
		{0, 1, false},
		{5, 5, false},
		{0, 4294967295, true}, // across the wrap
		{4294967295, 0, false},
		{2147483648, 1, true},  // 2³¹-1 ahead
		{2147483648, 0, false}, // 2³¹ apart: no order
		{0, 2147483648, false},
		{2147483649, 0, false},
		{0, 2147483649, true},
		{3000000000, 2999999999, true},
	}
	for _, tt := range tests {
		if got := SerialNewer(tt.a, tt.b); got != tt.want {
			t.Errorf("SerialNewer(%d, %d) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}
