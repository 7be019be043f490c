package keeper

// MaxPage bounds a page of tenants, for the test that compares it with what must fit in.
const MaxPage = maxPage
