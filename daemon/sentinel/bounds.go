package sentinel

// MaxDeal bounds a message to a keeper, for the test that compares it with the largest deal.
const MaxDeal = maxDeal
