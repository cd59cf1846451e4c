package pdns

// SerialNewer reports whether serial a comes after b in the circular order of
// RFC 1982 section 3.2. Two serials that are exactly 2³¹ apart are in no order:
// neither is newer. Serials order nothing here, see [Version]; they only say
// whether a primary's database may lag behind.
func SerialNewer(a, b uint32) bool { return int32(a-b) > 0 }
