ANTI JOIN stored.gone_$table AS g ON r.origin = g.origin AND r."row" = g."row"
